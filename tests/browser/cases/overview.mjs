// The overview: figures that live.

import { comes, until } from "../receiver.mjs";

export default {
  "rates, queue, hosts by state and the worst hosts are shown live": async (world) => {
    const { good, broken } = world.made.hosts;
    const page = await world.open();
    const tile = (name) => page.locator(".tile", { has: page.getByRole("heading", { name }) });
    await page.locator(".beat.open").waitFor();
    for (const name of ["Accepted", "Delivered", "Failed", "Deferred"]) {
      await tile(name).locator(".spark-line[d]").waitFor({ state: "attached" });
    }
    const flow = setInterval(() => world.trigger(good, "/live", 30).catch(() => {}), 400);
    const figure = tile("Accepted").locator(".reading b");
    // Something comes in, and the figure is no longer nought.
    await until(async () => Number((await figure.textContent()).replace(",", "")) > 0);
    const backlog = page.getByRole("table", { name: "Most backlogged hosts" });
    await backlog.getByRole("link", { name: broken }).waitFor();
    await page.getByText("takes writes").waitFor();
    await world.axe(page);
    // A picture of a while.
    await page.waitForTimeout(6000);
    await world.shot(page, "overview-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await world.axe(page);
    await world.shot(page, "overview-dark");
    clearInterval(flow);

    // A part of the bar leads to its hosts.
    await page.getByRole("link", { name: /^cooling down/ }).click();
    await page.getByRole("heading", { name: "Hosts", level: 1 }).waitFor();
    await page.waitForURL(/#\/hosts\?state=cooling_down$/);
    await page.getByRole("link", { name: broken }).waitFor();
  },

  "a day can be looked at": async (world) => {
    const page = await world.open();
    await page.locator(".beat.open").waitFor();
    const answered = page.waitForResponse(/\/v1\/series\?step=60/);
    await page.getByRole("button", { name: "A day" }).click();
    await comes(async () => (await answered).status(), 200);
    await comes(() => page.getByRole("button", { name: "A day" }).getAttribute("aria-pressed"), "true");
  },
};
