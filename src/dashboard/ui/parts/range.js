// Spans of time to choose from, for views that look back.

import { h } from "../lib/dom.js";

const HOUR = 3_600_000;
/** As far back as a report by the day goes: four years. */
const LONGEST = 1490 * 24 * HOUR;
/** Name in the address, length, words. */
const RANGES = [
  ["15m", HOUR / 4, "last 15 minutes"], ["1h", HOUR, "last hour"], ["24h", 24 * HOUR, "last day"],
  ["7d", 7 * 24 * HOUR, "last 7 days"], ["30d", 30 * 24 * HOUR, "last 30 days"],
  ["all", LONGEST, "all time"],
];

/** When a span begins, as text. */
export function since(range) {
  const found = RANGES.find(([name]) => name === range) ?? RANGES[2];
  return new Date(Date.now() - found[1]).toISOString();
}

/** A labelled choice; `options` are `[value, words]`. */
export function choice({ id, label, value, options, onchange }) {
  const select = h("select", { id, onchange: () => onchange(select.value) },
    options.map(([name, words]) => h("option", { value: name }, words)));
  select.value = value;
  return h("div", { class: "field" }, h("label", { for: id }, label), select);
}

/** The choice of a span. */
export const rangeChoice = (value, onchange) => choice({
  id: "range", label: "Time", value, onchange, options: RANGES.map(([name, , words]) => [name, words]),
});

/** A labelled field that tells its text when it was changed. */
export function typed({ id, label, value, onchange, ...more }) {
  const input = h("input", { id, type: "text", autocomplete: "off", value: value ?? "", ...more,
    onchange: () => onchange(input.value.trim()) });
  return h("div", { class: "field" }, h("label", { for: id }, label), input);
}
