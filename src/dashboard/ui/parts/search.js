// The form above the list of deliveries: one field that understands what is typed, states to choose
// from, and the rest behind a fold. Says through `changed(filter)` what is wanted.

import { get } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { button, word } from "../lib/parts.js";
import { DEAD, STATES, meant, terms } from "./filter.js";
import { heads } from "./names.js";

const two = (number) => String(number).padStart(2, "0");

/** A time for `datetime-local`, on the clock of whoever looks. */
function local(text) {
  if (!text) return "";
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return "";
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T`
    + `${two(date.getHours())}:${two(date.getMinutes())}`;
}

const labelled = (id, label, input) =>
  h("div", { class: "field" }, h("label", { for: id }, label), input);

/** One field of the fold. */
function field([name, label, type, list], filter, changed) {
  const time = type === "datetime-local";
  const id = `filter-${name}`;
  const input = h("input", {
    id, type, list, autocomplete: "off", value: time ? local(filter[name]) : filter[name] ?? "",
    onchange: () => {
      const given = input.value.trim();
      changed({ ...filter, [name]: time && given ? new Date(given).toISOString() : given });
    },
  });
  return labelled(id, label, input);
}

const FOLD = [
  ["host", "Host", "text"], ["campaign", "Campaign", "text", "list-campaign"],
  ["canvas", "Canvas", "text", "list-canvas"], ["template", "Template", "text", "list-template"],
  ["recipient", "Recipient", "text"], ["trigger", "Trigger", "text"],
  ["from", "Accepted from", "datetime-local"], ["until", "until", "datetime-local"],
];

/** Names to choose from; a key that may not see them types. */
function choices(kind, signal) {
  const list = h("datalist", { id: `list-${kind}` });
  heads(kind, signal).then((all) => fill(list, all.map(({ name }) =>
    h("option", { value: name }))), () => {});
  return list;
}

function metadata(filter, changed) {
  const input = h("input", {
    id: "filter-metadata", type: "text", placeholder: "order=7001", autocomplete: "off",
    onchange: () => {
      const term = meant(input.value);
      if (term.field !== "metadata") {
        input.setCustomValidity("Write it as key=value.");
        input.reportValidity();
        return;
      }
      changed({ ...filter, metadata: { ...filter.metadata, [term.key]: term.value } });
    },
    oninput: () => input.setCustomValidity(""),
  });
  return labelled("filter-metadata", "Metadata", input);
}

/** Goes to the delivery of an id, or answers the filter for a trigger's. */
async function byId(id, signal) {
  try {
    await get(`/v1/deliveries/${id}`, { signal });
    location.hash = `#/deliveries/${id}`;
    return null;
  } catch (error) {
    if (error.status !== 404) throw error;
    const { data } = await get(`/v1/deliveries?trigger=${id}&limit=1`, { signal });
    if (data.length === 0) throw new Error("There is no delivery and no trigger of this id.");
    return { field: "trigger", value: id };
  }
}

function quick(filter, changed, signal) {
  const told = h("p", { class: "error", id: "find-told", role: "alert" });
  const input = h("input", {
    id: "find", type: "search", autocomplete: "off", spellcheck: "false",
    placeholder: "Id, key=value, host or recipient", "aria-describedby": "find-told",
    oninput: () => fill(told),
  });
  async function submit(event) {
    event.preventDefault();
    if (!input.value.trim()) return;
    try {
      let term = meant(input.value);
      if (term.id) term = await byId(term.id, signal);
      if (!term) return;
      const { field: name, key, value } = term;
      changed(name === "metadata"
        ? { ...filter, metadata: { ...filter.metadata, [key]: value } }
        : { ...filter, [name]: value });
    } catch (error) {
      if (error.name !== "AbortError") fill(told, error.message);
    }
  }
  return h("form", { class: "search", role: "search", "aria-label": "Deliveries", onsubmit: submit },
    h("label", { class: "visually-hidden", for: "find" }, "Search deliveries"), input,
    h("button", { class: "button primary" }, "Search"), told);
}

function states(filter, changed) {
  const all = (list) => list.every((state) => filter.states.includes(state))
    && filter.states.length === list.length;
  const chip = (label, on, wanted) => h("button", { type: "button", class: "chip",
    "aria-pressed": String(on), onclick: () => changed({ ...filter, states: wanted }) }, label);
  const toggled = (state) => (filter.states.includes(state)
    ? filter.states.filter((one) => one !== state)
    : STATES.filter((one) => one === state || filter.states.includes(one)));
  return h("div", { class: "chips", role: "group", "aria-label": "States" },
    chip("any state", filter.states.length === 0, []), chip("dead letters", all(DEAD), DEAD),
    STATES.map((state) => chip(word(state), filter.states.includes(state), toggled(state))));
}

function chosen(filter, changed) {
  const without = ([name, key]) => {
    if (name !== "metadata") return { ...filter, [name]: "" };
    const { [key]: _, ...metadata_ } = filter.metadata;
    return { ...filter, metadata: metadata_ };
  };
  const all = terms(filter);
  if (all.length === 0) return null;
  return h("div", { class: "chips terms", role: "group", "aria-label": "Filter" },
    all.map((term) => h("button", { type: "button", class: "chip term",
      "aria-label": `${term[2]}: take out of the filter`, onclick: () => changed(without(term)) },
    term[2], h("span", { "aria-hidden": "true" }, " ×"))),
    button("Clear all", () => changed({ states: filter.states, metadata: {} }), "quiet"));
}

/** Draws the form into `node` for a filter; what was unfolded stays so. */
export function searchForm(node, filter, changed, signal) {
  const open = node.querySelector("details")?.open ?? false;
  const lists = [...node.querySelectorAll("datalist")];
  const focus = node.contains(document.activeElement) ? document.activeElement : null;
  const place = focus && [...node.querySelectorAll("input, button, summary")].indexOf(focus);
  if (lists.length === 0) lists.push(...["campaign", "canvas", "template"].map((kind) =>
    choices(kind, signal)));
  fill(node, quick(filter, changed, signal), states(filter, changed),
    h("details", { class: "fold", open }, h("summary", {}, "More filters"),
      h("div", { class: "fields" }, FOLD.map((one) => field(one, filter, changed)),
        metadata(filter, changed))),
    chosen(filter, changed), lists);
  // Whoever went through the form by keyboard goes on where they were.
  if (focus?.id) document.getElementById(focus.id)?.focus();
  else if (focus) node.querySelectorAll("input, button, summary")[place]?.focus();
}
