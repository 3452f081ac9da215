// The whole in ten seconds: what comes in and goes out, what waits, which hosts hurt. From memory
// of the last minutes first, then live, second by second.

import { get, may } from "../lib/api.js";
import { every, fill, h, text } from "../lib/dom.js";
import { count, ms, percent, rate, seconds } from "../lib/format.js";
import { census, condition, success } from "../lib/hosts.js";
import { subscribe } from "../lib/live.js";
import { badge, card, facts, heading, link, unavailable } from "../lib/parts.js";
import { sparkline } from "../lib/plot.js";
import { table } from "../lib/table.js";
import { welcome } from "./welcome.js";

/** Points of a sparkline: five minutes of a second each, or a day of ten minutes each. */
const POINTS = 300;
const TOP = 8;
const DAY_EVERY_MS = 60_000;
const MINUTES_TOGETHER = 10;

/** The four rates: field of a point, of a live event, word, colour, where it leads. */
const TILES = [
  ["accepted", "accepted_per_s", "Accepted", "accent", "#/deliveries"],
  ["delivered", "delivered_per_s", "Delivered", "good", "#/deliveries?state=delivered"],
  ["failed", "failed_per_s", "Failed", "bad", "#/activity"],
  [
    "deferred",
    "deferred",
    "Deferred",
    "warn",
    "#/hosts?state=limited,backing_off,cooling_down,paused",
  ],
];

class Tile {
  constructor([field, event, label, color, href]) {
    Object.assign(this, { field, event, values: [] });
    this.number = h("b", {}, "–");
    this.note = h("p", { class: "quiet note" }, "\u00a0");
    this.spark = sparkline(color);
    const unit = field === "deferred" ? "now" : "a second";
    this.node = h(
      "a",
      { class: "card tile span-3", href },
      h("h2", {}, label),
      h("p", { class: "reading" }, this.number, " ", h("span", {}, unit)),
      this.spark.node,
      this.note,
    );
  }

  history(values) {
    this.values = values;
    this.spark.set(values);
  }

  now(stats, grows) {
    const value = stats[this.event] ?? 0;
    text(this.number, this.field === "deferred" ? count(value) : rate(value));
    text(this.note, this.says(stats));
    if (!grows) return;
    this.values = [...this.values, value].slice(-POINTS);
    this.spark.set(this.values);
  }

  says(stats) {
    const ended = stats.delivered_per_s + stats.failed_per_s;
    const told = {
      accepted: `${rate(stats.attempts_per_s)} attempts a second`,
      delivered:
        ended > 0 ? `${percent(stats.delivered_per_s / ended)} of what ended` : "none ended now",
      failed: `${rate(stats.retried_per_s)} retried, ${rate(stats.refused_per_s)} refused a second`,
      deferred: "deliveries whose host may not be called",
    };
    return told[this.field];
  }
}

/** Each ten points of a minute as their mean. */
function coarse(values) {
  const means = [];
  for (let from = 0; from < values.length; from += MINUTES_TOGETHER) {
    const part = values.slice(from, from + MINUTES_TOGETHER);
    means.push(part.reduce((sum, value) => sum + value, 0) / part.length);
  }
  return means;
}

function hosts(label, columns) {
  const name = {
    label: "Host",
    class: "clip host-name",
    cell: (row) => h("a", { href: link("hosts", row.host), title: row.host }, row.host),
  };
  const state = { label: "State", class: "host-state", cell: condition };
  return table({
    label,
    key: (row) => row.host,
    columns: [name, state, ...columns],
    none: "None at the moment.",
  });
}

const number = (label, cell) => ({ label, class: "number", cell });

/** The tables of the busiest hosts. */
function tables() {
  const backlogged = hosts("Most backlogged hosts", [
    number("Waiting", (row) => count(Math.max(row.waiting, row.queued))),
    number("Success", success),
  ]);
  const slowest = hosts("Slowest hosts", [
    number("p50", (row) => ms(row.last_minute.p50_ms)),
    number("p99", (row) => ms(row.last_minute.p99_ms)),
  ]);
  return { backlogged, slowest };
}

function store(stats) {
  const { commit_us: us, commit_size: size, waiting, refusing } = stats.store;
  return [
    h(
      "p",
      { class: "store-state" },
      refusing ? badge("failed", "refuses writes") : badge("ok", "takes writes"),
      refusing && h("span", { class: "fault" }, ` ${refusing}`),
    ),
    rows([
      ["Commit", ms(us / 1000)],
      ["Operations a commit", rate(size)],
      ["Waiting for it", count(waiting)],
    ]),
  ];
}

function rows(pairs) {
  const list = facts(pairs);
  list.classList.add("rows");
  return list;
}

const queue = (stats) =>
  rows([
    ["Pending", count(stats.pending)],
    ["Behind an ordering key", count(stats.parked)],
    ["In flight", count(stats.in_flight)],
    ["Latency, median", ms(stats.p50_ms)],
    ["Latency, 99th percentile", ms(stats.p99_ms)],
  ]);

/** Asks for the past of the sparklines; `step` is in seconds. */
async function past(tiles, step, signal) {
  const { points } = await get(`/v1/series?step=${step}`, { signal });
  for (const tile of tiles) {
    const values = points.map((point) => point[tile.field] ?? 0);
    tile.history(step === 1 ? values.slice(-POINTS) : coarse(values));
  }
}

function ranges(choose) {
  const choices = [
    ["Five minutes", 1],
    ["A day", 60],
  ];
  const chips = choices.map(([label, step]) =>
    h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(step === 1),
        onclick: (event) => {
          for (const chip of chips)
            chip.setAttribute("aria-pressed", String(chip === event.target));
          choose(step);
        },
      },
      label,
    ),
  );
  return h("div", { class: "chips", role: "group", "aria-label": "Time of the sparklines" }, chips);
}

/** A guest workspace sees its own deliveries, not the server's figures. */
function guest(root) {
  fill(
    root,
    heading("Overview", "The figures of the whole server are for its operators."),
    h(
      "div",
      { class: "card" },
      h(
        "p",
        {},
        "Look at your ",
        h("a", { href: "#/deliveries" }, "deliveries"),
        ", the ",
        h("a", { href: "#/hosts" }, "hosts"),
        " they go to, and what ",
        h("a", { href: "#/activity" }, "went wrong"),
        ".",
      ),
    ),
  );
}

export default async function view(root, { session, signal }) {
  if (session.workspace !== "default" || !may("stats:read")) return guest(root);
  const tiles = TILES.map((tile) => new Tile(tile));
  const { backlogged, slowest } = tables();
  const [states, waits, keeps] = [h("div", {}), h("div", {}), h("div", {})];
  const known = h("span", {});
  const below = h("span", {}, session.version ? `Version ${session.version}` : "\u00a0");
  const first = h("div", { class: "welcome" });
  let step = 1;
  const choose = (wanted) => {
    step = wanted;
    return past(tiles, step, signal).catch(() => {});
  };
  fill(
    root,
    heading("Overview", below, ranges(choose)),
    first,
    h(
      "div",
      { class: "grid" },
      tiles.map((tile) => tile.node),
      h("div", { class: "span-6" }, card("Hosts by state", known, states)),
      h("div", { class: "span-3" }, card("Queue", null, waits)),
      h("div", { class: "span-3" }, card("Store", null, keeps)),
      h(
        "div",
        { class: "span-6" },
        card(
          "Most backlogged",
          h("a", { href: "#/hosts?sort=-waiting" }, "All by backlog"),
          backlogged.node,
        ),
      ),
      h(
        "div",
        { class: "span-6" },
        card("Slowest", h("a", { href: "#/hosts?sort=-p99" }, "All by latency"), slowest.node),
      ),
    ),
  );

  const listen = (stats) => {
    tiles.forEach((tile) => tile.now(stats, step === 1));
    const all = Object.values(stats.hosts).reduce((sum, some) => sum + some, 0);
    text(known, `${count(all)} known, ${count(all - (stats.hosts.asleep ?? 0))} with an actor`);
    text(below, `Version ${session.version}, up ${seconds(stats.uptime_s)}`);
    // What has the focus is not taken away from under it.
    if (!states.contains(document.activeElement)) fill(states, census(stats.hosts));
    fill(waits, queue(stats));
    fill(keeps, store(stats));
    backlogged.set(stats.backlogged ?? []);
    slowest.set(stats.slowest ?? []);
  };
  const begin = async () => {
    try {
      await past(tiles, step, signal);
      subscribe({ top: may("hosts:read") && TOP }, { stats: listen }, signal);
      await every(DAY_EVERY_MS, signal, () => step === 60 && choose(60));
    } catch (error) {
      for (const place of [states, waits, keeps]) unavailable(place, error, "live figures");
    }
  };
  begin();
  welcome(first, session, signal);
  return undefined;
}
