// Documents of templates, campaigns and canvases: fetched and stored as they are written, and what is
// typed but not saved, kept while the page is open.

import { Written, get, send } from "../lib/api.js";
import { pretty, slice } from "./json.js";

const START = {
  templates: { name: "My template", webhook: {
    url: "https://shop.example/customers/{{ ${user_id} | url_param_escape }}",
    body: { text: "Hello {{ ${first_name} | default: 'friend' }}", order: "{{ properties.order }}" },
  } },
  campaigns: { name: "My campaign", trigger: { type: "api" },
    webhooks: [{ url: "https://shop.example/hook", body: { order: "{{ properties.order }}" } }] },
  canvases: { name: "My canvas", trigger: { type: "event", event: "signed_up" }, steps: [
    { id: "hello", type: "webhook", webhooks: [{ url: "https://shop.example/hello", body: {} }] },
    { id: "wait", type: "wait_for_event", event: "bought", timeout: "3d", on_event: "out",
      on_timeout: "remind" },
    { id: "remind", type: "webhook", webhooks: [{ url: "https://shop.example/remind", body: {} }] },
    { id: "out", type: "exit" },
  ] },
};

const drafts = new Map();

/** Where one is, by id; also by name. */
export const pathOf = (kind, id) => `/v1/${kind}/${encodeURIComponent(id)}`;

function opened(raw) {
  const { document: _, ...head } = JSON.parse(raw);
  return { head, saved: pretty(slice(raw, "/document")) };
}

/** What is stored under an id, or what a new one begins with: `{head, saved}`; `saved` is its text. */
export async function open(kind, id, signal) {
  if (id === "new") return { head: null, saved: JSON.stringify(START[kind], null, 2) };
  return opened(await get(pathOf(kind, id), { signal, raw: true }));
}

/** The text of a version. */
export async function version(kind, id, number, signal) {
  const raw = await get(`${pathOf(kind, id)}/versions/${number}`, { signal, raw: true });
  return pretty(slice(raw, "/document"));
}

/** Stores a text: a new one, or the next version of the one that was opened. */
export async function store(kind, head, text) {
  const path = head ? `${pathOf(kind, head.id)}?version=${head.version}` : `/v1/${kind}`;
  return opened(await send(head ? "PUT" : "POST", path, new Written(text), { raw: true }));
}

/** What was typed and not saved; null where there is nothing. */
export const draft = (kind, id) => drafts.get(`${kind}/${id}`) ?? null;

/** Remembers what was typed; null forgets it. */
export function keep(kind, id, text) {
  if (text === null) drafts.delete(`${kind}/${id}`);
  else drafts.set(`${kind}/${id}`, text);
}
