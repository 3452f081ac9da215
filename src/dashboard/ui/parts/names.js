// Names of what composed a delivery, looked up once; an id stands in where it may not be seen.

import { get } from "../lib/api.js";
import { h, text } from "../lib/dom.js";
import { link } from "../lib/parts.js";

const KINDS = { campaign: "campaigns", canvas: "canvases", template: "templates" };
const known = new Map();

/** The name of an id that was looked up before; else the id. */
export const nameKnown = (id) => known.get(id) ?? id;

/** The heads of all campaigns, canvases or templates that are not archived, newest first. */
export async function heads(kind, signal) {
  const all = [];
  let after = null;
  // A thousand are more than a list to choose from can hold.
  for (let page = 0; page < 5; page += 1) {
    const query = new URLSearchParams({ limit: 200, ...(after ? { after } : {}) });
    const { data, next } = await get(`/v1/${KINDS[kind]}?${query}`, { signal });
    all.push(...data);
    for (const head of data) known.set(head.id, head.name);
    after = next;
    if (!after) break;
  }
  return all;
}

/** Its name, or the beginning of its id. */
export async function nameOf(kind, id, signal) {
  if (known.has(id)) return known.get(id);
  try {
    const { name } = await get(`/v1/${KINDS[kind]}/${encodeURIComponent(id)}`, { signal });
    known.set(id, name);
    return name;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return id;
  }
}

/** The id of what has a name, or that id. */
export async function idOf(kind, reference, signal) {
  const path = `/v1/${KINDS[kind]}/${encodeURIComponent(reference)}`;
  return (await get(path, { signal })).id;
}

/** A link to a campaign, canvas or template, by its name as soon as that is known. */
export function named(kind, id, signal) {
  const node = h("a", { href: link("compose", KINDS[kind], id) }, known.get(id) ?? id);
  if (!known.has(id)) nameOf(kind, id, signal).then((name) => text(node, name), () => {});
  return node;
}
