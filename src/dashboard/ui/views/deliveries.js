// The list of deliveries: a filter that lives in the address, pages by cursor, what ends meanwhile.

import { get, may } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { subscribe } from "../lib/live.js";
import {
  badge, button, clock, empty, heading, link, remember, status,
} from "../lib/parts.js";
import { complain, toast } from "../lib/confirm.js";
import { table } from "../lib/table.js";
import { liveQuery, read, redriveFilter, terms, write } from "../parts/filter.js";
import { idOf } from "../parts/names.js";
import { redriveAll } from "../parts/redriving.js";
import { searchForm } from "../parts/search.js";

const PAGE = 50;
/** What a list looked like when it was left, so that the way back leads to the same place. */
let left = null;

function brief(url) {
  const { pathname, search } = new URL(url);
  return `${pathname}${search}`;
}

function whom(row) {
  const by = row.composed?.recipient ?? Object.entries(row.metadata)[0]?.join("=");
  return h("span", { class: "clip", title: by }, by ?? "");
}

const COLUMNS = [
  { label: "Accepted", class: "when", cell: (row) => clock(row.accepted_at) },
  { label: "State", cell: (row) => badge(row.state) },
  { label: "Status", cell: (row) => status(row.last_status) },
  { label: "Webhook", class: "wide", cell: (row) => h("a", {
    class: "clip", href: link("deliveries", row.id), title: row.url },
  h("span", { class: "method" }, row.method), " ", brief(row.url)) },
  { label: "Host", cell: (row) => h("a", { class: "clip", href: link("hosts", row.host) }, row.host) },
  { label: "Attempts", class: "number", cell: (row) => count(row.attempt_count) },
  { label: "Recipient or metadata", class: "whom", cell: whom },
];

/** The rows of one filter: pages, and what is told of them live. */
class List {
  constructor(filter, signal) {
    this.query = write(filter);
    this.signal = signal;
    this.rows = [];
    this.next = null;
    this.ended = new Set();
  }

  async load(more) {
    const query = new URLSearchParams(this.query);
    query.set("limit", PAGE);
    if (more) query.set("after", this.next);
    const page = await get(`/v1/deliveries?${query}`, { signal: this.signal });
    if (!more) this.ended.clear();
    const known = new Set(more ? this.rows.map((row) => row.id) : []);
    this.rows = more ? [...this.rows, ...page.data.filter((row) => !known.has(row.id))] : page.data;
    this.next = page.next;
  }

  /** Takes in what happened to a delivery; answers whether a row of ours has changed. */
  tell({ id, state, status: code, attempts }) {
    const place = this.rows.findIndex((row) => row.id === id);
    if (place < 0) {
      if (state !== "retried" && this.ended.size < 10_000) this.ended.add(id);
      return false;
    }
    this.rows[place] = { ...this.rows[place], last_status: code, attempt_count: attempts,
      state: state === "retried" ? "waiting" : state };
    return true;
  }
}

function nothing(filter) {
  if (terms(filter).length > 0 || filter.states.length > 0) {
    return empty("No delivery matches this filter.",
      h("p", {}, h("a", { href: "#/deliveries" }, "Show all deliveries")));
  }
  return empty("There are no deliveries yet.", h("p", {}, "Send one: ",
    h("code", {}, "hostline send https://shop.example/hook --json '{\"order\": 7}'")));
}

class View {
  constructor(root, filter, signal) {
    this.filter = filter;
    this.signal = signal;
    this.form = h("div", { class: "search-form" });
    this.bulk = h("div", { class: "actions" });
    this.progress = h("div", {});
    this.fresh = h("div", { class: "fresh", role: "status" });
    this.place = h("div", {});
    this.foot = h("div", { class: "foot" });
    this.grid = table({ label: "Deliveries", columns: COLUMNS });
    fill(root, heading("Deliveries", "Everything that is owed, and what became of it.", this.bulk),
      this.form, this.progress, this.fresh, this.place, this.foot);
  }

  /** Shows another filter: in the address, the form, the list and the live events. */
  async change(filter) {
    this.filter = filter;
    this.turn?.abort();
    this.turn = new AbortController();
    const signal = AbortSignal.any([this.signal, this.turn.signal]);
    remember(Object.fromEntries(write(filter)));
    searchForm(this.form, filter, (wanted) => this.change(wanted), this.signal);
    this.drawBulk();
    this.list = new List(filter, signal);
    const back = left && left.query === String(this.list.query) ? left : null;
    left = null;
    if (back) {
      Object.assign(this.list, back.state);
      // The frame goes to the top of a new view first.
      requestAnimationFrame(() => setTimeout(() => scrollTo(0, back.scroll)));
      this.draw();
    }
    // Without live events the list is still whole.
    this.listen(signal).catch(() => {});
    if (!back) await this.reload();
    return undefined;
  }

  async reload(more = false) {
    try {
      await this.list.load(more);
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(this.place, empty("The list cannot be shown.",
        h("p", { class: "fault", role: "alert" }, error.message)));
      fill(this.foot);
      return;
    }
    this.draw();
  }

  draw() {
    const { rows, next } = this.list;
    if (rows.length === 0 && !next) {
      fill(this.place, nothing(this.filter));
      fill(this.foot);
    } else {
      this.grid.set(rows);
      if (!this.place.contains(this.grid.node)) {
        fill(this.place, h("div", { class: "card list" }, this.grid.node));
      }
      const shown = h("span", { class: "quiet" }, `${count(rows.length)} shown`);
      fill(this.foot, shown, next && button("Load more", () => this.more(), "", { id: "more" }));
    }
    this.drawFresh();
  }

  async more() {
    const before = this.list.rows.length;
    await this.reload(true);
    // On to the first of the new rows.
    const row = this.grid.node.querySelectorAll("tbody tr")[before];
    row?.querySelector("a")?.focus({ preventScroll: true });
  }

  drawFresh() {
    const number = this.list.ended.size;
    if (number === Number(this.fresh.dataset.number ?? 0)) return;
    this.fresh.dataset.number = number;
    const label = `${count(number)} newer: show`;
    fill(this.fresh, number > 0 && button(label, () => this.reload(), "quiet"));
  }

  drawBulk() {
    if (!may("deliveries:write")) return;
    const narrow = [...terms(this.filter).map((term) => term[2]),
      this.filter.states.length > 0 && `state: ${this.filter.states.join(", ")}`].filter(Boolean);
    const one = (action, label, kind) => {
      const { filter, why } = redriveFilter(this.filter, action);
      return button(label, async () => {
        if (why) {
          toast(why, "bad");
          return;
        }
        const todo = { action, filter, narrow: narrow.join(" · "), signal: this.signal };
        if (await redriveAll(this.progress, todo)) await this.reload();
      }, kind, { "aria-disabled": why ? "true" : null, title: why });
    };
    fill(this.bulk, one("redrive", "Redrive all…", ""), one("cancel", "Cancel all…", "danger"));
  }

  async listen(signal) {
    const query = liveQuery(this.filter);
    if (!query) return;
    // Events know a campaign by its id alone.
    if (query.campaign) query.campaign = await idOf("campaign", query.campaign, signal);
    let drawn = 0;
    const draw = () => {
      drawn = 0;
      if (!signal.aborted) this.draw();
    };
    subscribe(query, {
      delivery: (event) => {
        this.list.tell(event);
        // A thousand ends a second are drawn twice in it.
        drawn ||= setTimeout(draw, 500);
      },
    }, signal);
  }

  leave() {
    const { rows, next, ended } = this.list;
    left = { query: String(this.list.query), scroll: scrollY, state: { rows, next, ended } };
  }
}

export default async function view(root, { query, signal }) {
  const shown = new View(root, read(query), signal);
  // The address changes before the view is left, and with it how far it is scrolled.
  addEventListener("hashchange", () => shown.leave(), { capture: true, once: true, signal });
  await shown.change(shown.filter).catch(complain);
}
