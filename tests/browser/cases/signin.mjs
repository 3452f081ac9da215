// Signing in with a key where one is needed.

import assert from "node:assert/strict";
import { comes } from "../receiver.mjs";

async function enter(page, key) {
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export default {
  "a key is held in a cookie that the page cannot read": async (world) => {
    world.allow(/401/);
    const page = await world.open("#/", { base: world.made.keyed });
    await world.axe(page);
    await world.shot(page, "sign-in");
    await enter(page, "hl_wrong_key");
    await page.getByText("This key is not known here").waitFor();
    await comes(() => page.getByLabel("API key").getAttribute("aria-invalid"), "true");
    await enter(page, world.made.key);
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();

    const cookies = await page.context().cookies();
    const [cookie] = cookies.filter(({ name }) => name === "hostline_session");
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, "Strict");
    const readable = await page.evaluate(() => [
      document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage),
      document.documentElement.outerHTML,
    ].join("\n"));
    assert.ok(!readable.includes(world.made.key), "the key is in the page");

    await page.reload();
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Hostline" }).waitFor();
    await comes(async () => (await page.context().cookies()).length, 0);
    await page.reload();
    await page.getByRole("heading", { name: "Sign in to Hostline" }).waitFor();
  },

  "who is signed in may change something": async (world) => {
    world.allow(/401|404/);
    const headers = { authorization: `Bearer ${world.made.key}` };
    const asked = { base: world.made.keyed, headers };
    // Due long after this: the host is known, and nothing is sent.
    const later = { webhook: { url: "http://later.example/hook" }, delay: "1h" };
    await world.api("POST", "/v1/triggers", later, asked);
    const page = await world.open("#/hosts/later.example", { base: world.made.keyed });
    await enter(page, world.made.key);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
    await page.getByText("later.example is paused.").waitFor();
    const { controls } = await world.api("GET", "/v1/hosts/later.example", undefined, asked);
    assert.equal(controls.paused, true);
  },
};
