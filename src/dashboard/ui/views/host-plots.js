// The last quarter of an hour of a host, as plots that share their cursor.

import { get } from "../lib/api.js";
import { every, fill, h } from "../lib/dom.js";
import { count, ms, percent, rate } from "../lib/format.js";
import { card, unavailable } from "../lib/parts.js";
import { plot } from "../lib/plot.js";

const EVERY_MS = 10_000;
/** Statuses that count as failures for the host's health (599: no answer). */
const FAILING = ["408", "429", "502", "503", "504", "529", "599"];
/** Statuses that are drawn by themselves; all others are one. */
const STATUSES_MAX = 6;
const OTHER = "other";

/** Colours of statuses by what they mean; those of a kind take turns. */
const KINDS = [
  [/^2/, ["good", "series-2"]],
  [/^429/, ["warn"]],
  [/^599/, ["idle"]],
  [/^5/, ["bad", "series-4", "orange", "series-5"]],
  [/^4/, ["orange", "series-4", "series-2"]],
  [/^/, ["series-4", "idle"]],
];

function palette(codes) {
  const turns = new Map();
  return codes.map((code) => {
    const [pattern, colors] = KINDS.find(([kind]) => kind.test(code));
    const turn = turns.get(pattern) ?? 0;
    turns.set(pattern, turn + 1);
    return colors[turn % colors.length];
  });
}

/** The statuses that came most often, in order of number, and whether there are more. */
function statuses(points) {
  const sums = new Map();
  for (const { by_status: by } of points) {
    for (const [code, some] of Object.entries(by)) sums.set(code, (sums.get(code) ?? 0) + some);
  }
  const most = [...sums].sort((a, b) => b[1] - a[1]).map(([code]) => code);
  const own = most.slice(0, STATUSES_MAX).sort();
  return most.length > STATUSES_MAX ? [...own, OTHER] : own;
}

function outcomes(points, codes) {
  const named = new Set(codes);
  const rest = (by) =>
    Object.entries(by)
      .filter(([code]) => !named.has(code))
      .reduce((sum, [, some]) => sum + some, 0);
  return codes.map((code) =>
    points.map(({ by_status: by }) => (code === OTHER ? rest(by) : (by[code] ?? 0))),
  );
}

/** The failing share over the health window, point by point. */
function failing(points, window, step) {
  const reach = Math.max(1, Math.round(window / step));
  return points.map((_, place) => {
    const part = points.slice(Math.max(0, place + 1 - reach), place + 1);
    const attempts = part.reduce((sum, point) => sum + point.attempts, 0);
    const failures = part.reduce(
      (sum, point) => sum + FAILING.reduce((some, code) => some + (point.by_status[code] ?? 0), 0),
      0,
    );
    return attempts ? failures / attempts : null;
  });
}

const field = (points, name) => points.map((point) => point[name] ?? null);
const SYNC = "host";

/** The plots whose series never change: title, options, and the values of the points. */
function fixed(health) {
  const shared = { height: 150, sync: SYNC };
  const line = (label, color, more) => ({ label, color, ...more });
  const limit = { dash: [5, 4] };
  return [
    [
      "Rate and its limit",
      {
        ...shared,
        label: "Attempts a second and their limit",
        format: rate,
        series: [
          line("Attempts a second", "accent", { kind: "area" }),
          line("Limit", "bad", limit),
        ],
      },
      (points, step) => [points.map((point) => point.attempts / step), field(points, "rate_limit")],
    ],
    [
      "Latency",
      {
        ...shared,
        label: "Latency percentiles",
        format: ms,
        series: [line("p50", "series-2"), line("p90", "accent"), line("p99", "orange")],
      },
      (points) => ["p50_ms", "p90_ms", "p99_ms"].map((name) => field(points, name)),
    ],
    [
      "In flight and its limit",
      {
        ...shared,
        label: "Requests in flight and their limit",
        max: 4,
        format: count,
        series: [line("In flight", "accent", { kind: "area" }), line("Limit", "bad", limit)],
      },
      (points) => [field(points, "in_flight"), field(points, "in_flight_limit")],
    ],
    [
      "Failing share",
      {
        ...shared,
        label: "Failing share of the health window",
        format: percent,
        max: 1,
        series: [line(`Failed within ${health.window_s} s`, "bad", { kind: "area" })],
        marks: [
          { value: health.failure_ratio, label: `trips above ${percent(health.failure_ratio)}` },
        ],
      },
      (points, step) => [failing(points, health.window_s, step)],
    ],
    [
      "Queue",
      {
        ...shared,
        label: "Deliveries queued in memory",
        max: 4,
        format: count,
        series: [line("Queued", "series-4", { kind: "area" })],
      },
      (points) => [field(points, "queued")],
    ],
  ];
}

/** The plot of outcomes, made anew when another status comes up. */
class Outcomes {
  constructor() {
    this.node = h("div", { class: "outcomes" });
    this.codes = null;
  }

  set(times, points) {
    const codes = statuses(points);
    if (String(codes) !== String(this.codes)) {
      this.plot?.destroy();
      this.codes = codes;
      const colors = palette(codes);
      const word = (code) => (code === "599" ? "no answer" : code);
      this.plot = plot(this.node, {
        label: "Outcomes of attempts by status",
        height: 150,
        sync: SYNC,
        stacked: true,
        format: count,
        series: codes.map((code, place) => ({
          label: word(code),
          color: colors[place],
          kind: "bars",
        })),
      });
    }
    this.plot.set(times, outcomes(points, codes));
  }
}

const DEFAULTS = { window_s: 60, failure_ratio: 0.5 };

/** Draws the plots of the host at `path` in `node`; `host()` answers what is known of it now. */
export async function plots(node, path, host, signal) {
  const shown = fixed(host().health ?? DEFAULTS).map(([title, options, values]) => {
    const place = h("div", {});
    return { title, place, values, drawn: plot(place, options) };
  });
  const results = new Outcomes();
  const cards = shown.map(({ title, place }) =>
    h("div", { class: "span-6" }, card(title, null, place)),
  );
  cards.splice(
    1,
    0,
    h("div", { class: "span-6" }, card("Outcomes by status", "Attempts in 10 s", results.node)),
  );
  fill(node, h("div", { class: "grid" }, cards));
  results.set([], []);
  signal.addEventListener("abort", () => {
    for (const { drawn } of shown) drawn.destroy();
    results.plot?.destroy();
  });
  await every(EVERY_MS, signal, async () => {
    try {
      const { step_s: step, points } = await get(`${path}/series`, { signal });
      // The last step is not over: it would look like a fall.
      if (points.length > 2) points.pop();
      const times = points.map((point) => new Date(point.at).getTime() / 1000);
      for (const { drawn, values } of shown) drawn.set(times, values(points, step));
      results.set(times, points);
    } catch (error) {
      if (error.status === 404) unavailable(node, error, "the past of a host");
    }
  });
}
