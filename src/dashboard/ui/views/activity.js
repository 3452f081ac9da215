// The activity log: what goes wrong, grouped by host and status, with what it means and what to do.

import { get, path } from "../lib/api.js";
import { every, fill, h } from "../lib/dom.js";
import { count, time } from "../lib/format.js";
import {
  button, clock, empty, heading, link, remember, status, ticking, unavailable, word,
} from "../lib/parts.js";
import { capital } from "../parts/attempt.js";
import { heads } from "../parts/names.js";
import { choice, rangeChoice, since, typed } from "../parts/range.js";

const EVERY_MS = 10_000;
const ENTRIES = 20;
const ORDERS = {
  count: (a, b) => b.count - a.count || (a.last_at < b.last_at ? 1 : -1),
  last: (a, b) => (a.last_at < b.last_at ? 1 : -1),
};
/** Kinds of trouble; the log may hold others, which are taken from what it shows. */
const KINDS = ["failed", "exhausted", "expired", "render_failed", "aborted", "refused", "put_aside",
  "schedule_not_sent", "journey_ended", "loop_cut", "key_blocked", "ordering_key_blocked",
  "endpoint_errors", "delivery_exhausted", "alerts_left_out", "host_unhealthy", "host_recovered",
  "host_paused", "host_resumed", "host_drained", "host_purged"];

const keyOf = (group) => [group.host, group.status, group.kind].join("|");
/** The server narrows by kind and campaign; part of a name and a class of statuses are ours. */
const fits = (filter) => (group) => (!filter.host || (group.host ?? "").includes(filter.host))
  && (!filter.status || String(group.status ?? "").startsWith(filter.status.replace(/x+$/i, "")));

const sentence = (text) => (text ? `${capital(text)}${/[.!?…]$/.test(text) ? "" : "."}` : "");

function entry(one) {
  const about = one.subject_name && h("span", { class: "quiet" }, one.subject_name);
  const often = one.count > 1 && `${count(one.count)} times since ${time(one.first_at)} `;
  return h("li", {}, h("span", { class: "when" }, clock(one.at)), " ", often, one.recipient, " ", about,
    one.detail && h("p", {}, one.detail), one.delivery && " ", one.delivery
      && h("a", { class: "inline mono", href: link("deliveries", one.delivery) }, one.delivery));
}

/** The single entries of a group, a page at a time. */
function entries(group, filter, signal) {
  const list = h("ol", { class: "entries" });
  const foot = h("div", { class: "foot" });
  let after = null;
  async function more() {
    const query = { host: group.host, status: group.status, kind: group.kind, after,
      from: since(filter.range), subject: filter.subject, limit: ENTRIES };
    try {
      const page = await get(path("/v1/activity", query), { signal });
      list.append(...page.data.map(entry));
      after = page.next;
      fill(foot, after && button("Load more", more));
    } catch (error) {
      unavailable(foot, error, "the entries");
    }
  }
  more();
  return [list, foot];
}

/** What a group opens to. */
function inside(group, filter, signal) {
  const query = new URLSearchParams({ state: "failed,exhausted,expired" });
  if (group.host) query.set("host", group.host);
  if (filter.subject) query.set("campaign", filter.subject);
  const dead = ["failed", "exhausted", "expired"].includes(group.kind);
  return [
    h("dl", { class: "told" },
      h("div", {}, h("dt", {}, "What it means"), h("dd", {}, sentence(group.meaning))),
      h("div", {}, h("dt", {}, "What to do"), h("dd", {}, sentence(group.steps))),
      group.sample_detail && h("div", {}, h("dt", {}, "The last one said"),
        h("dd", {}, group.sample_detail))),
    h("div", { class: "actions" },
      group.last_delivery && h("a", { class: "button", href: link("deliveries", group.last_delivery) },
        "The last delivery"),
      dead && h("a", { class: "button", href: `#/deliveries?${query}` }, "Dead letters to redrive"),
      group.host && h("a", { class: "button", href: link("hosts", group.host) }, "The host")),
    h("h3", {}, "Entries, newest first"), ...entries(group, filter, signal),
  ];
}

/** A group that stays open while its figures change. */
class Row {
  constructor(group, filter, signal) {
    this.summary = h("summary", {});
    this.body = h("div", { class: "inside" });
    this.node = h("li", {}, h("details", { class: "group" }, this.summary, this.body));
    this.node.firstChild.addEventListener("toggle", () => {
      if (this.node.firstChild.open && !this.body.firstChild) {
        fill(this.body, inside(this.group, filter, signal));
      }
    });
    this.set(group);
  }

  set(group) {
    if (JSON.stringify(group) === JSON.stringify(this.group)) return;
    this.group = group;
    fill(this.summary,
      h("span", { class: "many" }, `${count(group.count)} ×`),
      group.status ? status(group.status) : h("span", { class: "code" }, "–"),
      h("span", { class: "kind" }, word(group.kind)),
      h("span", { class: "host" }, group.host ?? "no host"),
      h("span", { class: "why" }, group.meaning),
      h("span", { class: "when" }, ticking(group.last_at, "ago")),
      h("span", { class: "when first" }, "since ", clock(group.first_at)));
  }
}

function nothing(filter) {
  const narrowed = filter.host || filter.kind || filter.status || filter.subject;
  return narrowed ? empty("Nothing of that kind happened in this time.",
    h("p", {}, h("a", { href: "#/activity" }, "Take the filter away")))
    : empty("Nothing went wrong in this time.", h("p", {}, "Failed, refused and aborted webhooks "
      + "are gathered here, with what they mean and what to do."));
}

function form(node, filter, campaigns, change) {
  const one = (name, value) => change({ ...filter, [name]: value });
  const named = [["", "all"], ...campaigns.map(({ id, name }) => [id, name])];
  fill(node, rangeChoice(filter.range, (value) => one("range", value)),
    typed({ id: "host", label: "Host", value: filter.host, onchange: (value) => one("host", value) }),
    typed({ id: "status", label: "Status", value: filter.status, size: 7, placeholder: "503, 4xx",
      onchange: (value) => one("status", value) }),
    choice({ id: "kind", label: "Kind", value: filter.kind,
      options: [["", "all"], ...KINDS.map((kind) => [kind, word(kind)])],
      onchange: (value) => one("kind", value) }),
    campaigns.length > 0 && choice({ id: "subject", label: "Campaign", value: filter.subject,
      options: named, onchange: (value) => one("subject", value) }),
    choice({ id: "order", label: "First", value: filter.order,
      options: [["count", "the most frequent"], ["last", "the latest"]],
      onchange: (value) => one("order", value) }));
}

export default async function view(root, { query, signal }) {
  const start = { range: "24h", host: "", status: "", kind: "", subject: "", order: "count" };
  let filter = { ...start };
  for (const name of Object.keys(start)) if (query.get(name)) filter[name] = query.get(name);
  let turn = 0;
  let rows = new Map();
  let campaigns = [];
  const fields = h("div", { class: "fields filters" });
  const place = h("div", { "aria-live": "off" });
  const list = h("ol", { class: "groups card" });
  fill(root, heading("Activity", "What went wrong, and what to do about it."), fields, place);

  async function load() {
    const mine = (turn += 1);
    try {
      const from = since(filter.range);
      const asked = { from, kind: filter.kind, subject: filter.subject };
      const found = await get(path("/v1/activity/groups", asked), { signal });
      if (mine === turn) draw(found);
    } catch (error) {
      if (mine === turn) unavailable(place, error, "the activity log");
    }
  }

  function draw({ data: all, complete, from }) {
    const shown = all.filter(fits(filter)).sort(ORDERS[filter.order]);
    if (shown.length === 0) return fill(place, nothing(filter));
    const kept = new Map();
    for (const group of shown) {
      const key = keyOf(group);
      const row = rows.get(key) ?? new Row(group, filter, signal);
      row.set(group);
      kept.set(key, row);
    }
    rows = kept;
    const nodes = [...rows.values()].map((row) => row.node);
    const same = nodes.length === list.children.length
      && nodes.every((node, index) => list.children[index] === node);
    if (!same) list.replaceChildren(...nodes);
    if (!place.contains(list)) fill(place, list, h("p", { class: "hint" }));
    const part = complete === false && `Of the newest entries, since ${time(from)}.`;
    return fill(place.lastChild, part);
  }

  function change(wanted) {
    filter = wanted;
    const given = Object.entries(filter).filter(([name, value]) => value !== start[name]);
    remember(Object.fromEntries(given));
    rows = new Map();
    load();
  }

  form(fields, filter, campaigns, change);
  heads("campaign", signal).then((all) => {
    campaigns = all;
    form(fields, filter, campaigns, change);
  }, () => {});
  await every(EVERY_MS, signal, load);
}
