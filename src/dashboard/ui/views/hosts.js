// The host actors: a table of any length by whatever hurts, asked for anew while it is looked at.

import { get, path } from "../lib/api.js";
import { debounce, fill, h, text } from "../lib/dom.js";
import { count, ms } from "../lib/format.js";
import { STATES, budget, condition, pace, success, why } from "../lib/hosts.js";
import { subscribe } from "../lib/live.js";
import { heading, link, remember, word } from "../lib/parts.js";
import { virtual } from "../lib/virtual.js";

const TYPED_MS = 200;
const SORT = "-waiting";

const number = (label, sort, cell, more = "") => ({
  label,
  sort,
  down: true,
  class: `number ${more}`,
  cell,
});

/** All that is owed, with what of it is in memory as its title. */
const waiting = (row) =>
  h("span", { title: row.alive === false ? null : `${count(row.queued)} in memory` }, count(row.waiting));

const COLUMNS = [
  {
    label: "Host",
    sort: "name",
    class: "c-host",
    cell: (row) =>
      h("a", { href: link("hosts", row.host), title: row.host, tabindex: -1 }, row.host),
  },
  { label: "State", sort: "state", down: true, class: "c-state", cell: condition },
  { label: "Why", class: "c-why wide", cell: (row) => h("span", { title: why(row) }, why(row)) },
  { label: "Budget", class: "c-budget wide", cell: budget },
  { label: "Rate", class: "number c-rate wide", cell: pace },
  number(
    "In flight",
    "in_flight",
    (row) => (row.alive === false ? "–" : `${row.in_flight} / ${row.in_flight_limit}`),
    "c-small wide",
  ),
  number("Waiting", "waiting", waiting, "c-small c-waiting"),
  number("Success", "success", success, "c-small c-success"),
  number("p50", "p50", (row) => ms(row.last_minute?.p50_ms), "c-small wide"),
  number("p99", "p99", (row) => ms(row.last_minute?.p99_ms), "c-small wide"),
];

/** Windows of a list that goes by cursors: pages are taken until the window is known. */
class Cursors {
  constructor(ask) {
    this.ask = ask;
    this.rows = [];
    this.next = null;
    this.begun = false;
  }

  async window(offset, limit) {
    while ((!this.begun || this.next) && this.rows.length < offset + limit) {
      const page = await this.ask({ limit, after: this.next });
      this.begun = true;
      this.rows.push(...page.data);
      this.next = page.next;
    }
    const known = this.rows.slice(offset, offset + limit);
    return { data: known, total: this.rows.length + (this.next ? limit : 0) };
  }
}

class Hosts {
  constructor(root, query, signal) {
    this.signal = signal;
    this.q = query.get("q") ?? "";
    this.states = new Set((query.get("state") ?? "").split(",").filter(Boolean));
    this.sort = query.get("sort") ?? SORT;
    this.total = h("span", {}, "\u00a0");
    this.chips = this.filters();
    this.place = h("div", { class: "hosts-table" });
    fill(root, heading("Hosts", this.total), this.bar(), this.place);
    this.cursors = null;
    this.grid = virtual(this.place, {
      label: "Hosts",
      columns: COLUMNS,
      key: (row) => row.host,
      sort: this.sort,
      signal,
      onsort: (sort) => this.change({ sort }),
      fetch: (offset, limit) => this.fetch(offset, limit),
      open: (row) => {
        location.hash = link("hosts", row.host);
      },
    });
  }

  bar() {
    const input = h("input", {
      type: "search",
      value: this.q,
      placeholder: "Part of a name",
      "aria-label": "Search hosts by name",
      dataset: { search: "" },
      autocomplete: "off",
      spellcheck: "false",
    });
    input.addEventListener(
      "input",
      debounce(TYPED_MS, () => this.change({ q: input.value.trim() })),
    );
    return h(
      "div",
      { class: "filters" },
      input,
      h(
        "div",
        { class: "chips", role: "group", "aria-label": "States" },
        STATES.map((state) => this.chips[state].node),
      ),
    );
  }

  filters() {
    const chips = {};
    for (const state of STATES) {
      const counted = h("b", {}, "");
      const node = h(
        "button",
        {
          type: "button",
          class: "chip",
          "aria-pressed": String(this.states.has(state)),
          title: state === "idle" ? "Without an actor: in order of name only" : null,
          onclick: () => this.toggle(state),
        },
        h("span", { class: `state s-${state}` }, word(state)),
        counted,
      );
      chips[state] = { node, counted };
    }
    return chips;
  }

  toggle(state) {
    const { states } = this;
    if (states.has(state)) states.delete(state);
    else states.add(state);
    this.chips[state].node.setAttribute("aria-pressed", String(states.has(state)));
    this.change({});
  }

  /** Hosts without an actor are in the store alone, which knows them by name. */
  get idle() {
    return this.states.has("idle");
  }

  change(changes) {
    Object.assign(this, changes);
    remember({ q: this.q, state: [...this.states].join(","), sort: this.sort });
    this.cursors = null;
    this.grid.sorted(this.idle ? "name" : this.sort);
    return this.grid.reload();
  }

  async fetch(offset, limit) {
    const { signal } = this;
    const asked = { q: this.q, state: [...this.states].join(",") };
    try {
      const page = this.idle
        ? await this.named(asked, offset, limit)
        : await get(
            path("/v1/hosts", {
              ...asked,
              alive: true,
              sort: this.sort,
              offset: String(offset),
              limit,
            }),
            { signal },
          );
      this.say(page.total);
      return page;
    } catch (error) {
      if (error.name !== "AbortError") text(this.total, error.message);
      return null;
    }
  }

  named(asked, offset, limit) {
    const ask = (page) => get(path("/v1/hosts", { ...asked, ...page }), { signal: this.signal });
    this.cursors ??= new Cursors(ask);
    return this.cursors.window(offset, limit);
  }

  say(total) {
    const narrowed = this.q || this.states.size > 0;
    const what = this.idle ? "in order of name, as far as looked through" : "with an actor";
    text(
      this.total,
      total === 0 && narrowed
        ? "No host fits."
        : `${count(total)} ${total === 1 ? "host" : "hosts"} ${what}`,
    );
  }

  counts(hosts) {
    for (const state of STATES) {
      text(this.chips[state].counted, hosts[state] === undefined ? "" : ` ${count(hosts[state])}`);
    }
  }
}

export default async function view(root, { query, session, signal }) {
  const hosts = new Hosts(root, query, signal);
  if (session.workspace !== "default") return;
  subscribe({}, { stats: (stats) => hosts.counts(stats.hosts) }, signal);
}
