// Before anything was ever sent.

export default {
  "whoever comes first is told how to send": async (world) => {
    const { deliveries } = await world.api("GET", "/v1/stats");
    // Later on there is nothing to see here.
    if (deliveries.accepted > 0) return;
    const page = await world.open();
    await page.getByRole("heading", { name: "Nothing was sent yet" }).waitFor();
    await page.getByText(`curl -X POST ${world.base}/v1/triggers`).waitFor();
    await world.axe(page);
    await world.shot(page, "first-run");
    await world.trigger(world.made.hosts.steady);
    await page.getByRole("heading", { name: "Nothing was sent yet" }).waitFor({ state: "detached" });
  },
};
