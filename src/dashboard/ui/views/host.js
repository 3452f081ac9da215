// One host: how it is and why, what it may be sent, how it fared over the last minutes, who uses it,
// and what an operator can do about it.

import { get } from "../lib/api.js";
import { every, fill, h, text } from "../lib/dom.js";
import { count, ms, percent, rate, seconds } from "../lib/format.js";
import { bar, budget, condition, success, why } from "../lib/hosts.js";
import { subscribe } from "../lib/live.js";
import { badge, card, clock, empty, facts, heading, link, ticking } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { actions, limits } from "./host-controls.js";
import { plots } from "./host-plots.js";

const HISTORY_EVERY_MS = 10_000;

const at = (name) => `/v1/hosts/${encodeURIComponent(name)}`;

/** The head's second line: the state, until when, and why. */
function state(host) {
  const reason = why(host);
  return [condition(host), reason && h("span", {}, ` — ${reason}`)];
}

function figures(host) {
  const minute = host.last_minute ?? {};
  const { learned_rate: learned, static_rate: fixed } = host.budget ?? {};
  const list = facts([
    ["Budget", budget(host)],
    ["Learned rate", learned === null || learned === undefined ? "none" : `${rate(learned)}/s`],
    ["Rate set by hand", fixed ? `${rate(fixed)}/s` : "none"],
    ["In flight", `${count(host.in_flight)} of ${count(host.in_flight_limit)}`],
    ["In memory", count(host.queued)],
    ["Waiting in all", count(host.waiting)],
    ["Attempts, 1 min", count(minute.attempts)],
    ["Refused, 1 min", count(minute.refused)],
    ["Success, 1 min", success(host)],
    ["p50, 1 min", ms(minute.p50_ms)],
    ["p99, 1 min", ms(minute.p99_ms)],
  ]);
  list.classList.add("now");
  return list;
}

/** The health window: how near it is to the trip line, of which both parts have to be crossed. */
function health(host) {
  const window = host.health;
  if (!window) return h("p", { class: "quiet" }, "No attempt within the window.");
  const { attempts, failures, failure_ratio: line, min_failures: least } = window;
  const part = attempts ? failures / attempts : 0;
  const [over, many] = [part > line, failures >= least];
  const color = over && many ? "bad" : over || many ? "warn" : "accent";
  const gauge = (label, value, filled, trip) =>
    h(
      "div",
      { class: "gauge" },
      h("span", {}, label),
      h("b", {}, value),
      h(
        "div",
        { class: "track" },
        bar(filled, color),
        h("i", { class: "trip", style: { "--at": `${trip * 100}%` } }),
      ),
    );
  const scale = Math.max(least * 2, failures);
  return [
    gauge("Failing share", percent(part), part, line),
    gauge("Failures", count(failures), failures / scale, least / scale),
    h(
      "p",
      { class: "quiet" },
      `${count(failures)} of ${count(attempts)} attempts failed in the last ` +
        `${window.window_s} s. Past both lines, more than ${percent(line)} and at least ${least}, ` +
        "the host cools down.",
    ),
  ];
}

function timeline(history) {
  if (!history?.length)
    return h("p", { class: "quiet" }, "It was healthy for all of the last day.");
  const span = ({ from, to }) => [
    clock(from),
    to
      ? ` for ${seconds((new Date(to) - new Date(from)) / 1000)}`
      : [", for ", ticking(from, "since"), " now"],
  ];
  const place = (one) =>
    h(
      "li",
      {},
      badge(one.condition),
      " ",
      h("span", { class: "when" }, span(one)),
      one.reason && h("p", { class: "quiet" }, one.reason),
    );
  return h(
    "ol",
    { class: "timeline", tabindex: 0, "aria-label": "State changes" },
    history.map(place),
  );
}

const number = (label, cell) => ({ label, class: "number", cell });
const used = [
  number("Attempts", (row) => count(row.last_hour.attempts)),
  number("Delivered", (row) => count(row.last_hour.delivered)),
  number("Refused", (row) => count(row.last_hour.refused)),
  number("Failed", (row) => count(row.last_hour.failed)),
];

function lanes() {
  return table({
    label: "Lanes",
    key: (row) => row.workspace,
    none: "No workspace uses this host now.",
    columns: [
      { label: "Workspace", cell: (row) => row.workspace },
      {
        label: "State",
        cell: (row) => [condition(row), row.reason && h("p", { class: "quiet" }, row.reason)],
      },
      number("Share", (row) => percent(row.share)),
      number("Queued", (row) => `${count(row.queued)}${row.has_more ? "+" : ""}`),
      number("In flight", (row) => count(row.in_flight)),
      ...used,
    ],
  });
}

function ledger() {
  const name = (row) =>
    row.campaign
      ? h(
          "a",
          { href: `#/reports?${new URLSearchParams({ campaign: row.campaign })}` },
          row.campaign,
        )
      : h("span", { class: "quiet" }, "all others");
  return table({
    label: "Campaigns and canvases",
    key: (row) => `${row.workspace}/${row.campaign}`,
    none: "No campaign or canvas used this host.",
    columns: [{ label: "Campaign or canvas", class: "mono", cell: name }, ...used],
  });
}

/** The places of a view, filled again and again from what is known of the host. */
function build(root, name, session, refresh) {
  const places = {
    state: h("span", {}),
    actor: h("span", {}),
    actions: h("div", { class: "actions" }),
    figures: h("div", {}),
    health: h("div", { class: "gauges" }),
    timeline: h("div", { class: "timeline-box" }),
    limits: h("div", {}),
    plots: h("div", {}),
  };
  const [shares, users] = [lanes(), ledger()];
  const deliveries = h(
    "a",
    { href: `#/deliveries?${new URLSearchParams({ host: name })}` },
    "Deliveries",
  );
  fill(
    root,
    h(
      "nav",
      { class: "crumbs", "aria-label": "Where this is" },
      h("a", { href: link("hosts") }, "Hosts"),
    ),
    heading(name, places.state, places.actions),
    h(
      "div",
      { class: "grid" },
      h("div", { class: "span-8" }, card("Now", [places.actor, deliveries], places.figures)),
      h("div", { class: "span-4" }, card("Health window", null, places.health)),
      h("div", {}, places.plots),
      h("div", { class: "span-5" }, card("State changes", "Last day", places.timeline)),
      h(
        "div",
        { class: "span-7 stack" },
        card("Lanes", "One a workspace; outcomes of the last hour", shares.node),
        card("Used by", "Outcomes of the last hour", users.node),
        card("Limits", null, places.limits),
      ),
    ),
  );
  const limiting = limits(places.limits, name, session, refresh);
  return { places, shares, users, limiting };
}

function show({ places, shares, users, limiting }, host, controls) {
  fill(places.state, state(host));
  // A button that is being reached for stays where it is.
  const doing = JSON.stringify([host.alive, host.controls]);
  if (places.actions.dataset.doing !== doing) fill(places.actions, controls(host));
  places.actions.dataset.doing = doing;
  const idle = host.alive === false;
  text(places.actor, idle ? "No actor: nothing to do" : `Actor since ${seconds(host.age_s)}`);
  fill(
    places.figures,
    idle ? facts([["Waiting in the store", count(host.waiting)]]) : figures(host),
  );
  fill(places.health, idle ? h("p", { class: "quiet" }, "Nothing is being sent.") : health(host));
  if (host.history) fill(places.timeline, timeline(host.history));
  const { campaigns = [], other } = host.ledger ?? {};
  shares.set(host.lanes ?? []);
  users.set(other?.since_start.attempts ? [...campaigns, other] : campaigns);
  limiting(host);
}

export default async function view(root, { params, session, signal }) {
  const name = params.host;
  let host;
  try {
    host = await get(at(name), { signal });
  } catch (error) {
    if (error.status !== 404) throw error;
    fill(
      root,
      heading(name),
      empty("No delivery ever went to this host.", h("a", { href: link("hosts") }, "All hosts")),
    );
    return;
  }
  const refresh = async () => {
    host = await get(at(name), { signal });
    show(parts, host, controls);
  };
  const controls = actions(name, session, refresh, signal);
  const parts = build(root, name, session, refresh);
  show(parts, host, controls);
  subscribe({ host: name }, { host: (now) => show(parts, now, controls) }, signal);
  every(HISTORY_EVERY_MS, signal, () => refresh().catch(() => {}));
  plots(parts.places.plots, at(name), () => host, signal);
}
