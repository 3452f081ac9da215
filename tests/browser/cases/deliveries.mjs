// Finding deliveries, looking into one, and doing something about it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { PHONE } from "../world.mjs";
import { comes, receiver, until } from "../receiver.mjs";

const send = async (world, url, more = {}, webhook = {}) => {
  const trigger = { webhook: { url, body: { order: 7 }, ...webhook }, ...more };
  const { deliveries } = await world.api("POST", "/v1/triggers", trigger);
  return deliveries[0].id;
};
const ended = (world, id, state) => until(async () => {
  const delivery = await world.api("GET", `/v1/deliveries/${id}`);
  return delivery.state === state ? delivery : null;
});

export default {
  "a delivery is found by its metadata, and by its id": async (world) => {
    const place = await receiver(() => ({}));
    const order = `A-${process.pid}`;
    const id = await send(world, `http://${place.host}/found`, { metadata: { order } });
    const page = await world.open("#/deliveries");
    await page.getByLabel("Search deliveries").fill(`order=${order}`);
    await page.getByRole("button", { name: "Search", exact: true }).click();
    const rows = page.locator("main tbody tr");
    await page.getByRole("button", { name: `order=${order}: take out` }).waitFor();
    await comes(() => rows.count(), 1);
    await rows.filter({ hasText: "/found" }).waitFor();
    await until(() => page.url().includes(`metadata.order=${order}`));
    await world.axe(page);
    await rows.getByRole("link", { name: "/found" }).click();
    await page.locator(".lead").waitFor();
    await page.goBack();
    await rows.filter({ hasText: "/found" }).waitFor();
    // The filter lives in the address.
    await comes(() => rows.count(), 1);
    await page.getByLabel("Search deliveries").fill(id);
    await page.keyboard.press("Enter");
    await page.locator(".lead").waitFor();
    await page.waitForURL(new RegExp(`#/deliveries/${id}$`));
    await place.close();
  },

  "states narrow the list, and more is loaded without losing the place": async (world) => {
    await world.trigger(world.made.hosts.good, "/many", 60);
    const page = await world.open("#/deliveries?state=delivered");
    const rows = page.locator("main tbody tr");
    await rows.nth(49).waitFor();
    const first = await rows.first().getByRole("link").first().getAttribute("href");
    await page.getByRole("button", { name: "Load more" }).click();
    await rows.nth(60).waitFor();
    assert.equal(await rows.first().getByRole("link").first().getAttribute("href"), first);
    await page.getByRole("group", { name: "States" }).getByRole("button", { name: "cancelled" }).click();
    await page.waitForURL(/state=delivered%2Ccancelled|state=delivered,cancelled/);
    await world.shot(page, "deliveries-light");
    const dark = await world.open("#/deliveries", { theme: "dark" });
    await dark.locator("main tbody tr").first().waitFor();
    await world.shot(dark, "deliveries-dark");
    await world.axe(dark);
    const phone = await world.open("#/deliveries", { size: PHONE });
    await phone.locator("main tbody tr").first().waitFor();
    await world.fits(phone);
    await world.shot(phone, "deliveries-phone");
  },

  "the detail of a retried delivery shows each attempt and where its time went": async (world) => {
    const place = await receiver((number) => (number === 1
      ? { status: 429, headers: { "retry-after": "1" }, body: "slow down" }
      : { body: "{\"id\":12345678901234567890}", headers: { "content-type": "application/json" } }));
    const id = await send(world, `http://${place.host}/twice`, { metadata: { region: "eu" } });
    await ended(world, id, "delivered");
    const page = await world.open(`#/deliveries/${id}`);
    await page.getByText("Delivered: answered 200.").waitFor();
    const attempts = page.locator(".attempts > li");
    await comes(() => attempts.count(), 2);
    await attempts.first().locator("summary").click();
    await attempts.first().getByText("slow down").waitFor();
    const waterfall = attempts.first().locator(".waterfall");
    for (const phase of ["Connect", "First byte", "Rest", "In all"]) {
      await waterfall.getByText(phase, { exact: true }).waitFor();
    }
    // A number is shown as it came.
    await attempts.last().locator("pre").filter({ hasText: "12345678901234567890" }).waitFor();
    await page.getByRole("link", { name: "region=eu" }).waitFor();
    await world.axe(page);
    await world.shot(page, "delivery-light", { fullPage: true });
    const dark = await world.open(`#/deliveries/${id}`, { theme: "dark" });
    await world.shot(dark, "delivery-dark", { fullPage: true });
    await world.axe(dark);
    const phone = await world.open(`#/deliveries/${id}`, { size: PHONE });
    await world.fits(phone);
    await place.close();
  },

  "copy as curl is what a POSIX shell sends": async (world) => {
    const place = await receiver(() => ({}));
    const text = "it's \"quoted\" $HOME `x` \\ ü\n@second line";
    const id = await send(world, `http://${place.host}/curl?a=[1]&b='c'`, {},
      { body: text, headers: { "x-note": "it's; $(x)", "x-api-key": "secret" } });
    const page = await world.open(`#/deliveries/${id}`);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy as curl" }).click();
    await page.getByText("Copied; put in the masked values.").waitFor();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    execFileSync("sh", ["-n", "-c", command]);
    const printed = execFileSync("sh", ["-c", command.replace(/^curl/, "printf '%s\\0'")]);
    const words = printed.toString().split("\0");
    assert.ok(words.includes(text), `the body arrives byte for byte: ${command}`);
    assert.ok(words.includes("x-note: it's; $(x)"), command);
    assert.ok(words.includes("x-api-key: ***"), "a secret stays masked");
    assert.ok(!command.includes("secret"), command);
    await place.close();
  },

  "a dead letter is redriven, one and all that match": async (world) => {
    let mended = false;
    const place = await receiver(() => ({ status: mended ? 200 : 404 }));
    const ids = [];
    for (let number = 0; number < 3; number += 1) {
      ids.push(await send(world, `http://${place.host}/dead`));
    }
    for (const id of ids) await ended(world, id, "failed");
    mended = true;
    const page = await world.open(`#/deliveries/${ids[0]}`);
    await page.getByRole("button", { name: "Redrive…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Redrive" }).click();
    await page.getByText("Delivered: answered 200.").waitFor();
    await comes(() => page.locator(".attempts > li").count(), 2);
    await page.goto(`${world.base}/#/deliveries?state=failed&host=${place.host}`);
    await page.locator("main tbody tr").nth(1).waitFor();
    await page.getByRole("button", { name: "Redrive all…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("2 deliveries are to be redriven.").waitFor();
    await world.axe(page);
    await dialog.getByRole("button", { name: "Redrive 2" }).click();
    await page.getByText("2 deliveries redriven.").waitFor();
    for (const id of ids) await ended(world, id, "delivered");
    await place.close();
  },

  "an ordering key that a failure blocks is let go on": async (world) => {
    const place = await receiver((number) => ({ status: number === 1 ? 404 : 200 }));
    const keyed = () => send(world, `http://${place.host}/keyed`,
      { ordering_key: "customer-9", on_failure: "block" });
    const [head, follower] = [await keyed(), await keyed()];
    await ended(world, head, "failed");
    const page = await world.open(`#/deliveries/${follower}`);
    await page.locator(".where a").first().click();
    await page.getByText("stays blocked until it is redriven or skipped").waitFor();
    await page.getByRole("button", { name: "Skip…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Skip" }).click();
    await page.getByText("stays blocked").waitFor({ state: "detached" });
    await ended(world, follower, "delivered");
    await place.close();
  },

  "what waits says why, and is cancelled": async (world) => {
    const id = await send(world, `http://${world.made.hosts.good}/later`, { delay: "2h" });
    const page = await world.open(`#/deliveries/${id}`);
    await page.locator(".where").getByText(/due/).first().waitFor();
    await page.locator(".where time[data-tick=until]").first().waitFor();
    await world.axe(page);
    await page.getByRole("button", { name: "Cancel…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel it" }).click();
    await page.getByText("It was cancelled.").waitFor();
  },

  "what ends meanwhile is told, and no row jumps": async (world) => {
    const place = await receiver((number) => ({ status: number === 1 ? 404 : 200 }));
    const url = `http://${place.host}/live`;
    await ended(world, await send(world, url), "failed");
    const page = await world.open(`#/deliveries?host=${place.host}`);
    const rows = page.locator("main tbody tr");
    await rows.first().waitFor();
    await until(() => page.locator(".beat.open").count());
    await send(world, url);
    const newer = page.getByRole("button", { name: "1 newer: show" });
    await newer.waitFor();
    assert.equal(await rows.count(), 1);
    await newer.click();
    await rows.nth(1).waitFor();
    await newer.waitFor({ state: "detached" });
    await place.close();
  },

  "a search that finds nothing says what to do": async (world) => {
    const page = await world.open("#/deliveries?host=nobody.example");
    await page.getByText("No delivery matches this filter.").waitFor();
    await page.getByRole("link", { name: "Show all deliveries" }).click();
    await page.locator("main tbody tr").first().waitFor();
  },
};
