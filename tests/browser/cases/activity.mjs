// What went wrong, in groups.

import { PHONE } from "../world.mjs";
import { comes, receiver, until } from "../receiver.mjs";

export default {
  "errors are grouped by host and status, with what to do and the single entries": async (world) => {
    const place = await receiver(() => ({ status: 410, body: "gone for good" }));
    await world.trigger(place.host, "/old", 3);
    await until(async () => {
      const { data } = await world.api("GET", `/v1/activity/groups?host=${place.host}`);
      return data[0]?.count === 3;
    });
    const page = await world.open("#/activity");
    await page.getByLabel("Host", { exact: true }).fill(place.host);
    await page.keyboard.press("Enter");
    const group = page.locator("details.group").filter({ hasText: place.host });
    await page.waitForURL(/host=127/);
    await comes(() => page.locator("details.group").count(), 1);
    await group.getByText("3 ×").waitFor();
    await group.locator("summary").getByText("410").waitFor();
    await group.locator("summary").click();
    await group.getByText("What to do").waitFor();
    await group.locator(".entries li").first().waitFor();
    await group.getByRole("link", { name: "Dead letters to redrive" }).waitFor();
    await world.axe(page);
    await world.shot(page, "activity-light");
    await group.getByRole("link", { name: "The last delivery" }).click();
    await page.locator(".lead").getByText("The answer is final: answered 410.").waitFor();
    const dark = await world.open("#/activity?range=7d", { theme: "dark" });
    await dark.locator("details.group").first().waitFor();
    await world.axe(dark);
    await world.shot(dark, "activity-dark");
    const phone = await world.open("#/activity", { size: PHONE });
    await phone.locator("details.group").first().waitFor();
    await world.fits(phone);
    await place.close();
  },

  "a time in which nothing went wrong says so": async (world) => {
    const page = await world.open("#/activity?host=nobody.example");
    await page.getByText("Nothing of that kind happened in this time.").waitFor();
    await comes(() => page.locator("details.group").count(), 0);
  },
};
