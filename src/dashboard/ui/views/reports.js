// Reports: what became of the webhooks of a campaign, canvas, template or host over time, as plots and
// as tables, and as CSV.

import { get, path } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count, date, ms, percent, time } from "../lib/format.js";
import {
  card, empty, facts, heading, link, remember, status,
} from "../lib/parts.js";
import { plot } from "../lib/plot.js";
import { table } from "../lib/table.js";
import { capital } from "../parts/attempt.js";
import { heads, nameKnown } from "../parts/names.js";
import { choice, rangeChoice, since, typed } from "../parts/range.js";

const OF = { all: "Everything", campaign: "A campaign", canvas: "A canvas", template: "A template",
  host: "A host" };
/** Words of a campaign's counts that say who was left out, or went through a canvas. */
const MORE = ["entered", "exited", "aborted", "render_failed", "refused", "capped", "not_eligible",
  "not_in_audience", "control_group", "stopped"];
const STEPS = { minute: 60, hour: 3600, day: 86_400 };
/** The step that suits a span of time. */
const SUITS = { "15m": "minute", "1h": "minute", "24h": "hour", "7d": "hour", "30d": "day", all: "day" };
/** Steps of a plot that are filled up where nothing happened. */
const FILLED = 3000;
/** Fewer steps would make a plot of one bar. */
const LEAST = 12;
const OUTCOMES = [
  ["delivered", "delivered", "good"], ["failed", "failed", "bad"], ["exhausted", "exhausted", "orange"],
  ["expired", "expired", "series-4"], ["cancelled", "cancelled", "idle"],
];
const LATENCIES = [["p50_ms", "p50", "series-1"], ["p90_ms", "p90", "series-2"],
  ["p99_ms", "p99", "series-3"]];

const dead = (figures) => (figures.failed ?? 0) + (figures.exhausted ?? 0) + (figures.expired ?? 0);

/** The figures at each step of the time that a report covers, empty where nothing happened. Pure. */
function filled({ points, step, from, until }, whole) {
  const second = (text) => new Date(text).getTime() / 1000;
  const known = new Map(points.map((point) => [second(point.at), point]));
  const size = STEPS[step];
  const last = Math.max(second(until) - size, second(points[points.length - 1].at));
  // All time begins with the first thing that happened.
  const first = Math.min(second(whole ? from : points[0].at), last - LEAST * size);
  const length = Math.min(FILLED, Math.round((last - first) / size) + 1);
  const times = Array.from({ length }, (_, place) => last - (length - 1 - place) * size);
  return { times, rows: times.map((one) => known.get(one) ?? {}) };
}

function tiles({ total }) {
  const share = total.sent > 0 ? total.delivered / total.sent : null;
  return card("In all", null, facts([
    ["Sent", count(total.sent)], ["Delivered", [count(total.delivered), share !== null
      && h("span", { class: "quiet" }, ` ${percent(share)}`)]],
    ["Without success", count(dead(total))], ["Retried", count(total.retried)],
    ["Deferred", total.deferred === undefined ? null : count(total.deferred)],
    ["Recipients", (total.unique_recipients ?? null) === null ? null
      : count(total.unique_recipients)],
    ...LATENCIES.map(([name, label]) => [`Latency ${label}`,
      (total.latency?.[name] ?? null) === null ? null : ms(total.latency[name])]),
    ...MORE.filter((word) => total.counts?.[word] > 0).map((word) =>
      [capital(word.replaceAll("_", " ")), count(total.counts[word])]),
  ]));
}

const when = (step) => (row) =>
  h("time", { datetime: row.at }, step === "day" ? date(row.at) : time(row.at));

/** A plot and the table of the same figures beside it. */
function figure(title, node, label, columns, rows) {
  const grid = table({ label, columns, rows: [...rows].reverse(), key: (row) => row.at });
  return card(title, null, h("div", { class: "figure" }, h("div", {}, node),
    h("div", { class: "figures" }, grid.node)));
}

function outcomes({ points, step, total }, plots, { times, rows }) {
  const node = h("div", {});
  const shown = OUTCOMES.filter(([name], place) =>
    place < 2 || points.some((point) => point[name] > 0));
  const drawn = plot(node, { label: `Outcomes by ${step}`, height: 220, stacked: true, format: count,
    rest: shown.map(([name]) => total[name] ?? 0),
    series: shown.map(([, label, color]) => ({ label, color, kind: "bars" })) });
  plots.push(drawn);
  drawn.set(times, shown.map(([name]) => rows.map((row) => row[name] ?? 0)));
  const columns = [{ label: "Time", cell: when(step) }, ...shown.map(([name, label]) =>
    ({ label, class: "number", cell: (row) => count(row[name] ?? 0) }))];
  return figure("Outcomes", node, `Outcomes by ${step}, as a table`, columns, points);
}

function latencies({ points, step, total }, plots, { times, rows }) {
  const known = points.filter((point) => (point.latency?.p50_ms ?? null) !== null);
  if (known.length === 0) return null;
  const node = h("div", {});
  const drawn = plot(node, { label: `Latency by ${step}`, height: 220, format: ms,
    rest: LATENCIES.map(([name]) => total.latency?.[name] ?? null),
    series: LATENCIES.map(([, label, color]) => ({ label, color, spans: true })) });
  plots.push(drawn);
  drawn.set(times, LATENCIES.map(([name]) => rows.map((row) => row.latency?.[name] ?? null)));
  const columns = [{ label: "Time", cell: when(step) }, ...LATENCIES.map(([name, label]) =>
    ({ label, class: "number", cell: (row) => ms(row.latency[name]) }))];
  return figure("Latency of attempts", node, `Latency by ${step}, as a table`, columns, known);
}

function byStatus({ total }, filter) {
  const rows = Object.entries(total.by_status ?? {}).map(([code, number]) => ({ code, number }))
    .sort((a, b) => b.number - a.number);
  if (rows.length === 0) return null;
  const all = rows.reduce((sum, row) => sum + row.number, 0);
  const query = (code) => new URLSearchParams({ status: code, range: filter.range,
    ...(filter.of === "host" && filter.what ? { host: filter.what } : {}),
    ...(filter.of === "campaign" && filter.what ? { subject: filter.what } : {}) });
  return card("Failed by status", null, table({ label: "Failed by status", rows, key: (row) => row.code,
    columns: [
      { label: "Status", cell: (row) => h("a", { href: `#/activity?${query(row.code)}` },
        Number(row.code) ? status(Number(row.code)) : row.code) },
      { label: "Count", class: "number", cell: (row) => count(row.number) },
      { label: "Share", class: "number", cell: (row) => percent(row.number / all) },
    ] }).node);
}

/** A part is a variant or step, then a template and its version. */
const partName = (part) => part.replace(/([0-9a-f-]{36})@(\d+)$/, (_, id, version) =>
  `· ${nameKnown(id)}, version ${version}`).replace(/^· /, "");

function parts({ parts: all }) {
  const rows = (all ?? []).filter(({ part, counts }) =>
    part && (counts.sent > 0 || dead(counts) > 0));
  if (rows.length < 2) return null;
  const number = (name, label) =>
    ({ label, class: "number", cell: ({ counts }) => count(counts[name] ?? 0) });
  return card("By variant, step and version", null, table({ label: "By part", rows,
    key: (row) => row.part, columns: [{ label: "Part", cell: (row) => partName(row.part) },
      number("sent", "Sent"), number("delivered", "Delivered"), number("failed", "Failed"),
      number("exhausted", "Exhausted")] }).node);
}

const deliveriesOf = ({ of, what }) =>
  path("#/deliveries", of === "all" ? {} : { [of]: what });

class Reports {
  constructor(root, query, signal) {
    Object.assign(this, { signal, plots: [], turn: 0, choices: {} });
    const of = Object.keys(OF).find((one) => query.get(one)) ?? query.get("of") ?? "all";
    this.filter = { of: OF[of] ? of : "all", what: query.get(of) ?? "",
      range: query.get("range") ?? "24h", by: STEPS[query.get("by")] ? query.get("by") : "" };
    this.form = h("div", { class: "fields filters" });
    this.place = h("div", { class: "stack" });
    this.csv = h("div", {});
    fill(root, heading("Reports", "What became of it, over time.", this.csv), this.form, this.place);
    signal.addEventListener("abort", () => this.drop());
  }

  drop() {
    for (const drawn of this.plots) drawn.destroy();
    this.plots = [];
  }

  get asked() {
    const { of, what, range, by } = this.filter;
    const about = of === "all" ? {} : { [of]: what };
    return { by: by || SUITS[range] || "hour", ...about, from: since(range) };
  }

  change(part) {
    this.filter = { ...this.filter, ...part };
    const { of, what, range, by } = this.filter;
    remember({ of: what || of === "all" ? "" : of, [of]: what, by,
      range: range === "24h" ? "" : range });
    return this.show();
  }

  /** What there is to choose from; null where it is typed. */
  async subjects() {
    const { of } = this.filter;
    if (of === "host" || of === "all") return null;
    this.choices[of] ??= await heads(of, this.signal);
    return this.choices[of].map(({ id, name }) => [id, name]);
  }

  drawForm(subjects) {
    const { of, what, range, by } = this.filter;
    const known = !subjects || !what || subjects.some(([id]) => id === what);
    const options = known ? subjects : [[what, what], ...subjects];
    fill(this.form,
      choice({ id: "of", label: "Of", value: of, options: Object.entries(OF),
        onchange: (value) => this.change({ of: value, what: "" }) }),
      of !== "all" && (subjects ? choice({ id: "what", label: "Which", value: what, options,
        onchange: (value) => this.change({ what: value }) })
        : typed({ id: "what", label: "Which", value: what, placeholder: "shop.example",
          onchange: (value) => this.change({ what: value }) })),
      rangeChoice(range, (value) => this.change({ range: value })),
      choice({ id: "by", label: "Step", value: by, options: [["", "fitting"], ["minute", "minute"],
        ["hour", "hour"], ["day", "day"]], onchange: (value) => this.change({ by: value }) }));
  }

  async show() {
    const mine = (this.turn += 1);
    try {
      const subjects = await this.subjects();
      if (mine !== this.turn) return;
      if (!this.filter.what && subjects?.length > 0) {
        const all = this.choices[this.filter.of];
        this.filter.what = (all.find(({ status: now }) => now !== "draft") ?? all[0]).id;
      }
      this.drawForm(subjects);
      if (!this.filter.what && this.filter.of !== "all") {
        this.none(subjects);
        return;
      }
      const query = this.asked;
      const report = await get(path("/v1/reports", query), { signal: this.signal });
      // The parts speak of templates by their ids.
      if (report.parts?.some((row) => row.part.includes("@"))) {
        await heads("template", this.signal).catch(() => {});
      }
      if (mine === this.turn) this.draw(report, query);
    } catch (error) {
      if (mine !== this.turn) return;
      this.drop();
      fill(this.csv);
      if (error.name !== "AbortError") {
        fill(this.place, h("p", { class: "fault", role: "alert" }, error.message));
      }
    }
  }

  none(subjects) {
    this.drop();
    fill(this.csv);
    const word = this.filter.of;
    fill(this.place, subjects ? empty(`There is no ${word} yet.`,
      h("p", {}, h("a", { href: `#/compose?kind=${word === "canvas" ? "canvases" : `${word}s`}` },
        "Go to Compose"))) : empty("Name a host to see its report.",
      h("p", {}, h("a", { href: "#/hosts" }, "The hosts"))));
  }

  draw(report, query) {
    this.drop();
    fill(this.csv, h("a", { class: "button", download: `report-${this.filter.of}.csv`,
      href: path("/v1/reports", { ...query, format: "csv" }) }, "Download CSV"));
    if (report.points.length === 0) {
      fill(this.place, empty("Nothing was sent in this time.",
        h("p", {}, "Choose a longer time, or ", h("a", { href: deliveriesOf(this.filter) },
          "look at the deliveries"), ".")));
      return;
    }
    const shown = { ...report, step: report.step ?? query.by };
    const steps = filled(shown, this.filter.range !== "all");
    fill(this.place, tiles(shown), outcomes(shown, this.plots, steps),
      latencies(shown, this.plots, steps),
      h("div", { class: "grid" }, [byStatus(shown, this.filter), parts(shown)].filter(Boolean)
        .map((node) => h("div", { class: "span-6" }, node))));
    if (this.filter.of === "host") {
      this.place.append(h("p", {},
        h("a", { href: link("hosts", this.filter.what) }, "The host as it is now")));
    }
  }
}

export default async function view(root, { query, signal }) {
  await new Reports(root, query, signal).show();
}
