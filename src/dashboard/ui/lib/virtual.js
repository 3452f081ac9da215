// A table of any number of rows, of which only those in sight exist. Rows come in windows by offset;
// what is in sight is asked for again at an interval, and cells change in place.

import { debounce, every, fill, h } from "./dom.js";
import { cells, head } from "./table.js";

/** Rows drawn above and below those in sight. */
const MARGIN = 12;
/** Rows that are remembered; past that only those near by are. */
const KEPT = 3000;
/** How long the scrolling has to rest before rows are asked for. */
const REST_MS = 60;

/**
 * A table in `node`. `columns` as in `table.js`; `fetch(offset, limit)` answers `{data, total}`;
 * `open(row)` follows a row. The height of a row is the CSS variable `--row`.
 * Answers `{reload(), sorted(sort)}`: `reload` forgets what is known and starts at the top.
 */
export function virtual(node, options) {
  const grid = new Grid(node, options);
  every(options.every ?? 2000, options.signal, () => grid.load());
  return { reload: () => grid.reload(), sorted: (sort) => grid.sorted(sort) };
}

class Grid {
  constructor(node, options) {
    this.options = options;
    this.rows = new Map();
    this.places = new Map();
    this.total = 0;
    this.focus = 0;
    this.turn = 0;
    this.build(node);
    this.soon = debounce(REST_MS, () => this.missing() && this.load());
    this.scroller.addEventListener("scroll", () => this.frame(), { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    const seen = new ResizeObserver(() => this.frame());
    seen.observe(this.scroller);
    options.signal.addEventListener("abort", () => seen.disconnect());
  }

  build(node) {
    const { label, columns, sort, onsort } = this.options;
    this.top = h("thead", { role: "rowgroup" }, head(columns, sort, onsort));
    this.body = h("tbody", { role: "rowgroup" });
    this.above = h("tr", { class: "gap", "aria-hidden": "true" });
    this.below = h("tr", { class: "gap", "aria-hidden": "true" });
    this.body.append(this.above, this.below);
    this.grid = h("table", { role: "table", "aria-label": label }, this.top, this.body);
    this.scroller = h(
      "div",
      { class: "virtual", role: "region", tabindex: 0, "aria-label": label },
      this.grid,
    );
    fill(node, this.scroller);
  }

  get height() {
    return parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 36;
  }

  /** First and last row (exclusive) that are drawn now. */
  window() {
    const height = this.height;
    const first = Math.floor(this.scroller.scrollTop / height);
    const seen = Math.ceil(this.scroller.clientHeight / height);
    return [Math.max(0, first - MARGIN), Math.min(this.total, first + seen + MARGIN)];
  }

  missing() {
    const [from, to] = this.window();
    for (let index = from; index < to; index += 1) if (!this.rows.has(index)) return true;
    return false;
  }

  frame() {
    cancelAnimationFrame(this.pending);
    this.pending = requestAnimationFrame(() => {
      this.draw();
      this.soon();
    });
  }

  async load() {
    const turn = (this.turn += 1);
    const [from, to] = this.window();
    const limit = Math.max(to - from, 50);
    const page = await this.options.fetch(from, limit);
    // An answer to an older question says nothing any more.
    if (!page || turn !== this.turn || this.options.signal.aborted) return;
    this.total = page.total ?? from + page.data.length;
    if (this.rows.size > KEPT) this.rows.clear();
    page.data.forEach((row, place) => this.rows.set(from + place, row));
    for (const index of this.rows.keys()) if (index >= this.total) this.rows.delete(index);
    this.draw();
  }

  reload() {
    this.rows.clear();
    this.focus = 0;
    this.scroller.scrollTop = 0;
    return this.load();
  }

  sorted(sort) {
    const held = document.activeElement?.dataset?.sort;
    fill(this.top, head(this.options.columns, sort, this.options.onsort));
    if (held) this.top.querySelector(`[data-sort="${held}"]`)?.focus();
  }

  draw() {
    const [from, to] = this.window();
    const height = this.height;
    const spacer = (row, count) => row.style.setProperty("height", `${count * height}px`);
    spacer(this.above, from);
    spacer(this.below, Math.max(0, this.total - to));
    this.grid.setAttribute("aria-rowcount", this.total + 1);
    for (const [index, place] of this.places) {
      if (index >= from && index < to) continue;
      // Focus stays within the table when its row scrolls away.
      if (place.node.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
      place.node.remove();
      this.places.delete(index);
    }
    let after = this.above;
    for (let index = from; index < to; index += 1) {
      const place = this.place(index);
      if (after.nextSibling !== place.node) after.after(place.node);
      after = place.node;
    }
  }

  place(index) {
    let place = this.places.get(index);
    if (!place) {
      place = {
        node: h("tr", { role: "row", "aria-rowindex": index + 2, tabindex: -1 }),
        data: "",
      };
      place.node.dataset.index = index;
      this.places.set(index, place);
    }
    place.node.tabIndex = index === this.focus ? 0 : -1;
    const row = this.rows.get(index);
    const data = row ? JSON.stringify(row) : null;
    if (data === place.data) return place;
    place.data = data;
    place.node.classList.toggle("unknown", !row);
    const { columns } = this.options;
    if (!row)
      fill(
        place.node,
        columns.map((column) => h("td", { class: column.class, role: "cell" })),
      );
    else this.cells(place.node, row);
    return place;
  }

  /** Cells change in place: the first, which has the link, only where it names another row. */
  cells(node, row) {
    const { columns, key } = this.options;
    const made = cells(columns, row);
    const id = String(key(row));
    const same = node.dataset.key === id && node.children.length === made.length;
    node.dataset.key = id;
    if (!same) return fill(node, made);
    made.slice(1).forEach((cell, place) => {
      const old = node.children[place + 1];
      if (!old.isEqualNode(cell)) old.replaceWith(cell);
    });
    return node;
  }

  click(event) {
    const row = event.target.closest("tr[data-index]");
    if (!row || event.target.closest("a, button, input") || String(getSelection())) return;
    this.open(Number(row.dataset.index));
  }

  open(index) {
    const row = this.rows.get(index);
    if (row) this.options.open(row);
  }

  key(event) {
    if (event.target.closest("thead") || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 2);
    const inside = this.body.contains(event.target);
    const from = inside ? this.focus : this.focus - 1;
    const goal = {
      ArrowDown: from + 1,
      j: from + 1,
      ArrowUp: from - 1,
      k: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: this.total - 1,
    }[event.key];
    if (event.key === "Enter" && inside && !event.target.closest("a, button")) {
      return this.open(this.focus);
    }
    if (goal === undefined) return undefined;
    event.preventDefault();
    return this.move(Math.max(0, Math.min(this.total - 1, goal)));
  }

  move(index) {
    if (this.total === 0) return;
    this.focus = index;
    const height = this.height;
    const head = this.top.offsetHeight;
    const { scrollTop, clientHeight } = this.scroller;
    const [above, below] = [index * height, (index + 1) * height + head - clientHeight];
    if (scrollTop > above) this.scroller.scrollTop = above;
    else if (scrollTop < below) this.scroller.scrollTop = below;
    this.draw();
    this.soon();
    this.places.get(index)?.node.focus({ preventScroll: true });
  }
}
