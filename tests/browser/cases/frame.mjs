// What holds for every view: keys, themes, a phone, size and speed.

import assert from "node:assert/strict";
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
    assert.equal(await focused(), "Search hosts by name");
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
    assert.ok(await skip.evaluate((node) => node === document.activeElement));
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid");
  },

  "the theme is the system's until one is chosen, which is kept": async (world) => {
    const page = await world.open("#/", { theme: "dark" });
    const dark = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await dark();
    await page.getByRole("button", { name: "Dark or light" }).click();
    const after = await dark();
    assert.notEqual(after, before);
    await page.reload();
    await heading(page, "Overview");
    assert.equal(await dark(), after);
  },

  "every view fits a phone": async (world) => {
    const { broken } = world.made.hosts;
    for (const [name, address] of [
      ["overview", "#/"], ["hosts", "#/hosts"], ["host", `#/hosts/${encodeURIComponent(broken)}`],
    ]) {
      const page = await world.open(address, { size: PHONE });
      await page.locator(".state").first().waitFor();
      if (name === "host") await page.locator("canvas").first().waitFor();
      await world.fits(page);
      await world.axe(page);
      await world.shot(page, `phone-${name}`);
    }
  },

  "the whole page is small and there at once": async (world) => {
    const sizes = new Map();
    const weigh = (page) => page.on("response", async (response) => {
      const { pathname } = new URL(response.url());
      if (pathname !== "/" && !pathname.startsWith("/ui/")) return;
      sizes.set(pathname, (await response.body()).length);
    });
    const page = await world.open("#/", { before: weigh });
    await page.locator(".beat.open").waitFor();
    const shown = await page.evaluate(() => performance.getEntriesByName("shown")[0].startTime);
    const first = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    for (const view of ["hosts", `hosts/${world.made.hosts.broken}`, "deliveries", "activity", "compose", "reports"]) {
      await page.goto(`${world.base}/#/${view}`);
      await page.locator("main h1, main .empty").first().waitFor();
    }
    await page.goto(`${world.base}/#/hosts/${encodeURIComponent(world.made.hosts.broken)}`);
    await page.locator("canvas").first().waitFor();
    const all = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    console.log(`        interactive after ${shown.toFixed(0)} ms; overview ${first} bytes, all ${all} bytes`);
    assert.ok(all < WEIGHT_MAX, `${all} bytes`);
  },

  "an address that is none leads back": async (world) => {
    const page = await world.open();
    await page.evaluate(() => { location.hash = "#/no/such/place"; });
    await page.getByText("There is nothing at this address.").waitFor();
    await page.getByRole("link", { name: "Go to the overview" }).click();
    await heading(page, "Overview");
  },
};
