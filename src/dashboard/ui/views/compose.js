// What is composed: templates, campaigns and canvases, newest first.

import { get, may, path } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import {
  badge, button, empty, heading, link, remember, ticking, unavailable,
} from "../lib/parts.js";
import { table } from "../lib/table.js";

const PAGE = 100;
const KINDS = {
  campaigns: ["Campaigns", "campaign", "Webhooks, who gets them and when."],
  canvases: ["Canvases", "canvas", "Journeys of several steps."],
  templates: ["Templates", "template", "Webhooks with Liquid in them, to be used by name."],
};

const columns = (kind) => [
  { label: "Name", class: "wide", cell: (row) =>
    h("a", { href: link("compose", kind, row.id) }, row.name) },
  { label: "Status", cell: (row) => badge(row.status) },
  { label: "Tags", cell: (row) => row.tags.map((tag) => [h("span", { class: "tag" }, tag), " "]) },
  { label: "Version", class: "number", cell: (row) => row.version },
  { label: "Changed", class: "when", cell: (row) => ticking(row.updated_at, "ago") },
];

function tabs(now) {
  return h("nav", { class: "tabs", "aria-label": "Kinds" }, Object.entries(KINDS).map(([kind, [label]]) =>
    h("a", { href: `#/compose?kind=${kind}`, "aria-current": kind === now ? "page" : null },
      label)));
}

function nothing(kind, archived) {
  const [, word] = KINDS[kind];
  if (archived) return empty(`No ${word} is archived.`);
  return empty(`There is no ${word} yet.`,
    h("p", {}, h("a", { class: "button primary", href: link("compose", kind, "new") }, `New ${word}`)),
    h("p", {}, "Whole compositions to take from: ", h("code", {}, "hostline recipe list")));
}

export default async function view(root, { query, signal }) {
  const kind = Object.hasOwn(KINDS, query.get("kind") ?? "") ? query.get("kind") : "campaigns";
  const [, word, about] = KINDS[kind];
  let archived = query.get("status") === "archived";
  let rows = [];
  let next = null;
  const grid = table({ label: KINDS[kind][0], columns: columns(kind) });
  const place = h("div", {});
  const foot = h("div", { class: "foot" });
  const box = h("input", { type: "checkbox", checked: archived, onchange: () => {
    archived = box.checked;
    remember({ kind, status: archived ? "archived" : "" });
    load();
  } });

  async function load(more = false) {
    const asked = { limit: PAGE, after: more ? next : null, status: archived ? "archived" : null };
    try {
      const page = await get(path(`/v1/${kind}`, asked), { signal });
      rows = more ? [...rows, ...page.data] : page.data;
      next = page.next;
    } catch (error) {
      unavailable(place, error, `the ${kind}`);
      return;
    }
    grid.set(rows);
    if (rows.length === 0) fill(place, nothing(kind, archived));
    else fill(place, h("div", { class: "card list composed" }, grid.node));
    fill(foot, next && button("Load more", () => load(true)));
  }

  fill(root, heading("Compose", about, h("label", { class: "check" }, box, " Archived"),
    may("compose:write")
      && h("a", { class: "button primary", href: link("compose", kind, "new") }, `New ${word}`)),
  tabs(kind), place, foot);
  await load();
}
