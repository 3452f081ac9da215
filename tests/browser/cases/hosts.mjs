// The table of host actors: long, sorted, narrowed, by mouse and by keys.

import assert from "node:assert/strict";
import { comes, until } from "../receiver.mjs";

const MANY = 10_000;

/** A host as the API shows one. */
function row(number) {
  const state = ["healthy", "healthy", "limited", "backing_off", "cooling_down"][number % 5];
  const tally = { attempts: 10, delivered: 9, refused: 0, retried: 1, dead: 0, p50_ms: 12, p99_ms: 80 };
  const soon = new Date(Date.now() + 30_000).toISOString();
  return {
    alive: true, host: `host-${String(number).padStart(5, "0")}.example`, shard: number % 1024,
    arbiter: 0, state, until: state === "healthy" ? null : soon,
    reason: state === "healthy" ? "" : "for a reason",
    budget: { limit: 1000, remaining: number % 1000, resets_at: soon, learned_rate: null, static_rate: null },
    in_flight: number % 9, in_flight_limit: 20, queued: number, waiting: number, uncommitted: 0,
    mailbox: 0, age_s: 60, last_minute: tally, last_hour: tally, since_start: tally, success_ratio: 0.9,
    health: { window_s: 60, failures: 1, attempts: 10, min_failures: 20, failure_ratio: 0.5 },
    controls: { paused: false, draining: false, policy: { limits: {} } },
  };
}

/** Answers the list of hosts with ten thousand of them. */
function crowd(page) {
  return page.route(/\/v1\/hosts\?/, (route) => {
    const query = new URL(route.request().url()).searchParams;
    const [offset, limit] = [Number(query.get("offset")), Number(query.get("limit"))];
    const down = query.get("sort").startsWith("-");
    const count = Math.min(limit, MANY - offset);
    const data = Array.from({ length: count }, (_, place) =>
      row(down ? MANY - 1 - offset - place : offset + place));
    return route.fulfill({ json: { data, next: null, total: MANY } });
  });
}

const rows = (page) => page.locator(".virtual tbody tr:not(.gap)");

export default {
  "ten thousand rows stay smooth, for only those in sight exist": async (world) => {
    const page = await world.open("#/hosts", { before: crowd });
    await page.getByText("10,000 hosts with an actor").waitFor();
    await comes(() => page.getByRole("table").getAttribute("aria-rowcount"), String(MANY + 1));
    const region = page.locator(".virtual");
    for (const part of [0.25, 0.5, 0.999, 0]) {
      await region.evaluate((node, at) => { node.scrollTop = node.scrollHeight * at; }, part);
      const wanted = MANY - 1 - Math.floor(MANY * part);
      const seen = page.getByRole("link", { name: `host-${String(Math.max(wanted, 2)).padStart(5, "0")}` });
      await seen.waitFor();
      const drawn = await rows(page).count();
      assert.ok(drawn < 200, `${drawn} rows are drawn`);
    }
    // A long way in small steps: how long the frames take is told, not judged.
    const frames = await region.evaluate(async (node) => {
      const times = [];
      let last = performance.now();
      for (let step = 0; step < 120; step += 1) {
        node.scrollTop += 400;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - last);
        last = performance.now();
      }
      return times.sort((a, b) => a - b);
    });
    console.log(`        frames while scrolling 10,000 rows: median ${frames[60].toFixed(1)} ms, `
      + `95th percentile ${frames[114].toFixed(1)} ms`);
  },

  "arrows and pages move from row to row, and Enter opens one": async (world) => {
    const page = await world.open("#/hosts", { before: crowd });
    await page.getByText("10,000 hosts with an actor").waitFor();
    await rows(page).first().getByRole("link", { name: "host-09999.example" }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("ArrowDown");
    const focused = () => page.evaluate(() => document.activeElement.querySelector("a")?.textContent);
    await comes(focused, "host-09998.example");
    await page.keyboard.press("End");
    await comes(focused, "host-00000.example");
    await page.keyboard.press("Home");
    await comes(focused, "host-09999.example");
    await page.route(/\/v1\/hosts\/host-09999/, (route) => route.fulfill({ status: 404, json: {} }));
    world.allow(/404/);
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/hosts\/host-09999\.example$/);
  },

  "a click on a head sorts, and says so": async (world) => {
    const page = await world.open("#/hosts?q=shop-");
    const head = (name) => page.getByRole("columnheader", { name });
    const first = (name) => rows(page).first().getByRole("link", { name }).waitFor();
    await first(/shop-/);
    await comes(() => head("Waiting").getAttribute("aria-sort"), "descending");
    await head("Host").getByRole("button").click();
    await comes(() => head("Host").getAttribute("aria-sort"), "ascending");
    await first("shop-0000.nowhere.example");
    await page.keyboard.press("Enter");
    await comes(() => head("Host").getAttribute("aria-sort"), "descending");
    await first(`shop-${world.made.crowd - 1}.nowhere.example`);
    await page.waitForURL(/sort=-name/);
  },

  "states and a part of the name narrow the list": async (world) => {
    const { broken } = world.made.hosts;
    const page = await world.open("#/hosts");
    await page.getByText(/hosts with an actor/).waitFor();
    await page.getByRole("searchbox", { name: "Search hosts by name" }).fill("shop-00");
    await page.getByText("100 hosts with an actor").waitFor();
    await page.getByRole("searchbox", { name: "Search hosts by name" }).fill("");
    await page.getByRole("button", { name: /^cooling down/ }).click();
    await page.getByRole("link", { name: broken }).waitFor();
    await page.getByText("1 host with an actor").waitFor();
    // The address holds what was chosen.
    await page.reload();
    await page.getByText("1 host with an actor").waitFor();
    const chip = page.getByRole("button", { name: /^cooling down/ });
    await comes(() => chip.getAttribute("aria-pressed"), "true");
    await page.getByRole("searchbox", { name: "Search hosts by name" }).fill("no-such-host");
    await page.getByText("No host fits.").waitFor();
  },

  "hosts that hurt show why, and for how long": async (world) => {
    const { broken, limited, paused } = world.made.hosts;
    const page = await world.open("#/hosts?sort=-waiting");
    const line = (host) => rows(page).filter({ has: page.getByRole("link", { name: host }) });
    await line(broken).locator(".s-cooling_down").waitFor();
    const left = line(broken).locator(".c-state time");
    const before = await left.textContent();
    await until(async () => (await left.textContent()) !== before);
    await page.getByRole("searchbox", { name: "Search hosts by name" }).fill("partner");
    await line(limited).getByText("left of 60").waitFor();
    await line(limited).locator(".s-limited").waitFor();
    await page.getByRole("searchbox", { name: "Search hosts by name" }).fill("warehouse");
    await line(paused).getByText(/stock-taking until six/).waitFor();
    await page.getByRole("searchbox", { name: "Search hosts by name" }).fill("");
    await line(broken).waitFor();
    await world.axe(page);
    await world.shot(page, "hosts-light");
  },

  "dark": async (world) => {
    const { broken } = world.made.hosts;
    const page = await world.open("#/hosts?sort=-waiting", { theme: "dark" });
    await page.getByRole("link", { name: broken }).waitFor();
    await world.axe(page);
    await world.shot(page, "hosts-dark");
  },
};
