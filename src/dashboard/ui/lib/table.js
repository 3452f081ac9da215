// Tables: a plain one, whose rows are kept while their data stays the same, and the keys and clicks
// by which rows are reached. The one for thousands of rows is in `virtual.js`.

import { fill, h } from "./dom.js";

/** The head: a column that has `sort` is a button, and `aria-sort` says how the table is sorted. */
export function head(columns, sort, onsort) {
  const cell = (column) => {
    const attributes = { class: column.class, scope: "col", role: "columnheader" };
    if (!column.sort) return h("th", attributes, column.label);
    const field = sort?.replace(/^-/, "");
    const down = sort?.startsWith("-");
    const now = field === column.sort;
    const first = column.down ? `-${column.sort}` : column.sort;
    const turned = down ? column.sort : `-${column.sort}`;
    return h(
      "th",
      { ...attributes, "aria-sort": now ? (down ? "descending" : "ascending") : "none" },
      h(
        "button",
        {
          type: "button",
          class: "sort",
          title: column.title,
          dataset: { sort: column.sort },
          onclick: () => onsort(now ? turned : first),
        },
        column.label,
      ),
    );
  };
  return h("tr", { role: "row" }, columns.map(cell));
}

/** The cells of a row. `column.cell(row)` answers a node, a text or an array of them. */
export function cells(columns, row) {
  return columns.map((column) => h("td", { class: column.class, role: "cell" }, column.cell(row)));
}

const PLAIN = "a, button, input, select, label, summary";

/** Lets a click anywhere on a row follow its first link, and arrows move from row to row. */
export function reach(body) {
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (event.target.closest(PLAIN) || String(getSelection())) return;
    row?.querySelector("a[href]")?.click();
  });
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest?.("tr");
    const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!next || !row || event.target.closest("input, select, textarea")) return;
    const link = row[next]?.querySelector("a[href], button");
    if (!link) return;
    event.preventDefault();
    link.focus();
  });
}

/**
 * A table. `columns` are `{label, cell(row), class, sort, down, title}` (`sort` is the key that
 * `onsort` is called with, a `-` before it for the largest first; `down` sorts so at first);
 * `key(row)` tells rows apart. Answers `{node, set(rows), sorted(sort)}`.
 */
export function table({ label, columns, rows, key = (row) => row.id, sort, onsort, none }) {
  const top = h("thead", { role: "rowgroup" }, head(columns, sort, onsort));
  const body = h("tbody", { role: "rowgroup" });
  const grid = h("table", { role: "table", "aria-label": label }, top, body);
  const nothing = h("p", { class: "quiet none", hidden: true }, none ?? "Nothing.");
  const node = h(
    "div",
    { class: "table" },
    h("div", { class: "scroll-x", role: "region", "aria-label": label, tabindex: 0 }, grid),
    nothing,
  );
  const kept = new Map();
  reach(body);

  function set(shown) {
    const places = shown.map((row) => {
      const id = key(row);
      const data = JSON.stringify(row);
      let place = kept.get(id);
      if (!place) kept.set(id, (place = { node: h("tr", { role: "row" }), data: null }));
      // What stays the same keeps its nodes, and with them focus and selection.
      if (place.data !== data) fill(place.node, cells(columns, row));
      place.data = data;
      return [id, place];
    });
    const ids = new Set(places.map(([id]) => id));
    for (const id of kept.keys()) if (!ids.has(id)) kept.delete(id);
    const wanted = places.map(([, place]) => place.node);
    const same =
      wanted.length === body.children.length &&
      wanted.every((row, place) => body.children[place] === row);
    if (!same) body.replaceChildren(...wanted);
    nothing.hidden = shown.length > 0;
  }
  if (rows) set(rows);
  return { node, set, sorted: (now) => fill(top, head(columns, now, onsort)) };
}
