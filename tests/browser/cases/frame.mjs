// What holds for every view: keys, themes, a phone, size and speed.

import assert from "node:assert/strict";
import { comes, until } from "../receiver.mjs";
import { PHONE } from "../world.mjs";

const WEIGHT_MAX = 250_000;
const heading = (page, name) => page.getByRole("heading", { name, level: 1 }).waitFor();

export default {
  "keys lead everywhere, and a dialog tells them": async (world) => {
    const page = await world.open();
    await page.keyboard.press("g");
    await page.keyboard.press("h");
    await heading(page, "Hosts");
    await page.keyboard.press("/");
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await comes(focused, "Search hosts by name");
    await page.locator("main h1").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("o");
    await heading(page, "Overview");
    await page.keyboard.press("/");
    await page.keyboard.type("shop-0001");
    await page.keyboard.press("Enter");
    await heading(page, "Hosts");
    await page.getByRole("link", { name: "shop-0001.nowhere.example" }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await world.axe(page);
    await page.getByLabel("Shortcuts of a single key").uncheck();
    await page.keyboard.press("Escape");
    await page.locator("main h1").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("o");
    assert.match(page.url(), /#\/hosts/);
  },

  "the content can be skipped to, and what has the focus shows it": async (world) => {
    const page = await world.open("#/hosts");
    await page.keyboard.press("Tab");
    const skip = page.getByRole("link", { name: "Skip to content" });
    await comes(() => skip.evaluate((node) => node === document.activeElement), true);
    await page.keyboard.press("Enter");
    await comes(() => page.evaluate(() => document.activeElement.id), "main");
    await page.keyboard.press("Tab");
    const outline = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    await comes(outline, "solid");
  },

  "the theme is the system's until one is chosen, which is kept": async (world) => {
    const page = await world.open("#/", { theme: "dark" });
    const dark = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await dark();
    await page.getByRole("button", { name: "Dark or light" }).click();
    await until(async () => (await dark()) !== before);
    const after = await dark();
    await page.reload();
    await heading(page, "Overview");
    await comes(dark, after);
  },

  "every view fits a phone": async (world) => {
    const { broken } = world.made.hosts;
    for (const [name, address] of [
      ["overview", "#/"], ["hosts", "#/hosts"], ["host", `#/hosts/${encodeURIComponent(broken)}`],
    ]) {
      const page = await world.open(address, { size: PHONE });
      await page.locator(".heading .state, .virtual .state, td .state").first().waitFor();
      if (name === "host") await page.locator("canvas").first().waitFor();
      await world.fits(page);
      await world.axe(page);
      await world.shot(page, `phone-${name}`);
    }
  },

  "the whole page is small and there at once": async (world) => {
    const sizes = new Map();
    const weigh = (page) => page.on("requestfinished", async (request) => {
      const { pathname } = new URL(request.url());
      if (pathname !== "/" && !pathname.startsWith("/ui/")) return;
      const { responseBodySize } = await request.sizes();
      sizes.set(pathname, Math.max(responseBodySize, sizes.get(pathname) ?? 0));
    });
    const sum = () => [...sizes.values()].reduce((all, size) => all + size, 0);
    const page = await world.open("#/", { before: weigh });
    await page.locator(".beat.open").waitFor();
    const shown = await page.evaluate(() => performance.getEntriesByName("shown")[0].startTime);
    const first = sum();
    const host = `hosts/${encodeURIComponent(world.made.hosts.good)}`;
    for (const view of ["hosts", "deliveries", "activity", "compose", "reports", host]) {
      await page.evaluate((address) => { location.hash = `#/${address}`; }, view);
      await page.waitForFunction(() => document.querySelector("main h1"));
    }
    await page.locator("canvas").first().waitFor();
    console.log(`        interactive after ${shown.toFixed(0)} ms; transferred: overview ${first} bytes, `
      + `all views ${sum()} bytes`);
    assert.ok(first > 10_000 && sum() < WEIGHT_MAX, `${sum()} bytes`);
  },

  "an address that is none leads back": async (world) => {
    const page = await world.open();
    await page.evaluate(() => { location.hash = "#/no/such/place"; });
    await page.getByText("There is nothing at this address.").waitFor();
    await page.getByRole("link", { name: "Go to the overview" }).click();
    await heading(page, "Overview");
  },
};
