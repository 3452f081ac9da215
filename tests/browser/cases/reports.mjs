// Reports as plots, as tables and as CSV.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PHONE } from "../world.mjs";
import { comes, receiver, until } from "../receiver.mjs";

export default {
  "a host's report is plotted, told as a table, and given as CSV": async (world) => {
    const place = await receiver((number) => ({ status: number % 4 === 0 ? 404 : 200 }));
    await world.trigger(place.host, "/counted", 8);
    const query = new URLSearchParams({ by: "minute", host: place.host });
    await until(async () => {
      const { total } = await world.api("GET", `/v1/reports?${query}`);
      return total.delivered === 6 && total.failed === 2;
    });
    const page = await world.open(`#/reports?host=${place.host}&range=1h`);
    const total = (name) => page.locator(".facts > div").filter({ hasText: name }).locator("dd");
    await page.locator(".plot canvas").first().waitFor();
    await total("Delivered").getByText(/^6\s+75\s%$/).waitFor();
    await comes(() => total("Without success").innerText(), "2");
    const rows = page.getByRole("table", { name: "Outcomes by minute, as a table" }).locator("tbody tr");
    const sums = () => rows.evaluateAll((all) => all.map((row) => Number(row.cells[1].textContent)));
    await comes(async () => (await sums()).reduce((a, b) => a + b, 0), 6);
    await page.getByRole("table", { name: "Failed by status" }).getByText("404").waitFor();
    await page.getByRole("table", { name: "Latency by minute, as a table" }).waitFor();
    const coming = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download CSV" }).click();
    const text = readFileSync(await (await coming).path(), "utf8");
    assert.match(text.split("\n")[0], /delivered/);
    await world.axe(page);
    await world.shot(page, "reports-light", { fullPage: true });
    const dark = await world.open("#/reports?range=1h", { theme: "dark" });
    await dark.locator(".plot canvas").first().waitFor();
    await world.axe(dark);
    await world.shot(dark, "reports-dark", { fullPage: true });
    const phone = await world.open("#/reports?range=1h", { size: PHONE });
    await phone.locator(".plot canvas").first().waitFor();
    await world.fits(phone);
    await place.close();
  },

  "a time that is too long for the step is refused in the server's words": async (world) => {
    world.allow(/status of 400/);
    const page = await world.open("#/reports?range=all&by=minute");
    await page.locator("main [role=alert]").getByText(/minute|from/).first().waitFor();
  },
};
