// One host: plots, health, history, limits, and what an operator asks of it.

import assert from "node:assert/strict";
import { comes } from "../receiver.mjs";

const at = (host) => `#/hosts/${encodeURIComponent(host)}`;
const PLOTS = [
  "Attempts a second and their limit", "Outcomes of attempts by status", "Latency percentiles",
  "Requests in flight and their limit", "Failing share of the health window",
  "Deliveries queued in memory",
];

async function drawn(page) {
  for (const name of PLOTS) {
    const plot = page.getByRole("img", { name });
    await plot.locator("canvas").waitFor();
  }
}

export default {
  "a host that fails shows its plots, its health window and its history": async (world) => {
    const { broken } = world.made.hosts;
    const page = await world.open(at(broken));
    await page.locator(".heading .s-cooling_down").waitFor();
    await drawn(page);
    await page.getByText(/attempts failed in the last 60 s/).waitFor();
    await page.locator(".timeline .s-cooling_down").first().waitFor();
    await page.locator(".outcomes figcaption").getByText("503").waitFor();
    await world.axe(page);
    await world.shot(page, "host-light", { fullPage: true });
    await page.keyboard.press("t");
    await comes(() => page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await world.axe(page);
    await world.shot(page, "host-dark", { fullPage: true });
  },

  "pausing asks first and takes a reason, and so does resuming": async (world) => {
    const { steady } = world.made.hosts;
    const page = await world.open(at(steady));
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Pause" }).click();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.equal((await world.api("GET", `/v1/hosts/${steady}`)).controls.paused, false);
    await page.getByRole("button", { name: "Pause" }).click();
    await world.axe(page);
    await dialog.getByLabel(/Why/).fill("moving house");
    await page.keyboard.press("Enter");
    await page.locator(".heading .s-paused").waitFor();
    await page.locator(".heading").getByText("moving house").waitFor();
    const { controls } = await world.api("GET", `/v1/hosts/${steady}`);
    assert.deepEqual([controls.paused, controls.reason], [true, "moving house"]);
    await page.getByRole("button", { name: "Resume" }).click();
    await dialog.getByRole("button", { name: "Resume" }).click();
    await page.getByText(`${steady} is resumed.`).waitFor();
    assert.equal((await world.api("GET", `/v1/hosts/${steady}`)).controls.paused, false);
  },

  "limits are set beside their faults, and go back to the settings": async (world) => {
    const { steady } = world.made.hosts;
    world.allow(/400/);
    const page = await world.open(at(steady));
    const field = page.getByLabel("Burst");
    await field.fill("0");
    await page.getByRole("button", { name: "Set limits" }).click();
    await page.getByText("must be 1 or more").waitFor();
    await comes(() => field.getAttribute("aria-invalid"), "true");
    await field.fill("");
    await page.getByLabel("Requests a second").fill("12.5");
    await page.getByRole("button", { name: "Set limits" }).click();
    await page.getByText(`The limits of ${steady} are set.`).waitFor();
    const limits = async () => (await world.api("GET", `/v1/hosts/${steady}`)).controls.policy.limits;
    await comes(limits, { requests_per_second: 12.5 });
    await page.getByLabel("Requests a second").fill("");
    await page.getByRole("button", { name: "Set limits" }).click();
    await page.waitForFunction(() => !document.querySelector(".limits").dataset.edited);
    await comes(limits, {});
  },

  "a purge wants the host's name, and cancels what waits": async (world) => {
    const host = "purged.nowhere.example";
    await world.trigger(host, "/hook", 3, { delay: "1h" });
    const page = await world.open(at(host));
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Purge" }).click();
    await dialog.getByLabel(/Type/).fill("another");
    await dialog.getByRole("button", { name: "Cancel them all" }).click();
    await page.getByText("nothing was cancelled").waitFor();
    await page.getByRole("button", { name: "Purge" }).click();
    await dialog.getByLabel(/Type/).fill(host);
    await dialog.getByRole("button", { name: "Cancel them all" }).click();
    await page.getByText(`3 deliveries to ${host} were cancelled.`).waitFor();
  },

  "a redrive counts its dead letters before it begins": async (world) => {
    const { broken } = world.made.hosts;
    const page = await world.open(at(broken));
    await page.getByRole("button", { name: "Redrive" }).click();
    const dialog = page.getByRole("dialog");
    const none = page.getByText("has no dead letters");
    // All that failed may be due to go again.
    await dialog.or(none).first().waitFor();
    if (await none.isVisible()) return;
    await dialog.getByText(/\d+ deliveries that failed/).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
  },

  "a host that nothing ever went to is told so": async (world) => {
    world.allow(/404/);
    const page = await world.open("#/hosts/never.example");
    await page.getByText("No delivery ever went to this host.").waitFor();
    await world.axe(page);
  },
};
