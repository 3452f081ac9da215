// Small parts that every view is made of: states, times that tick, headings, empty places.

import { fill, h, text } from "./dom.js";
import { ago, moment, seconds, time, until } from "./format.js";

const WORDS = { backing_off: "backing off", cooling_down: "cooling down", in_flight: "in flight" };

/** The word of a state. */
export const word = (state) => WORDS[state] ?? String(state).replaceAll("_", " ");

/** A state (of a host, a delivery, a campaign…) as a shape and a word, so that colour is a third. */
export function badge(state, label) {
  return h("span", { class: `state s-${state}` }, label ?? word(state));
}

/** The status of an answer: its class is told by colour beside the number. */
export function status(code) {
  if (code === null || code === undefined) return h("span", { class: "code" }, "–");
  const kind = code === 429 ? "refused" : `${Math.floor(code / 100)}xx`;
  return h("span", { class: `code c-${kind}` }, code);
}

const TICKS = { until, ago, left: (at) => left(at), since: (at) => seconds(passed(at)) };
const passed = (at) => Math.max(0, (Date.now() - new Date(at)) / 1000);
const left = (at) => {
  const rest = Math.ceil((new Date(at) - Date.now()) / 1000);
  return rest > 0 ? seconds(rest) : "now";
};

/**
 * A time that tells itself anew each second: `kind` is "until" (in 12 s), "left" (12 s), "ago"
 * (12 s ago) or "since" (12 s).
 */
export function ticking(at, kind = "ago") {
  if (!at) return h("span", { class: "quiet" }, "–");
  return h("time", { datetime: at, title: moment(at), dataset: { tick: kind } }, TICKS[kind](at));
}

/** A time of day, with the whole of it as its title. */
export const clock = (at) => (at ? h("time", { datetime: at, title: moment(at) }, time(at)) : "–");

setInterval(() => {
  if (document.hidden) return;
  for (const node of document.querySelectorAll("time[data-tick]")) {
    text(node, TICKS[node.dataset.tick](node.dateTime));
  }
}, 1000);

/** The head of a view: its title, a line below it, and what can be done at the right. */
export function heading(title, below, ...actions) {
  return h(
    "header",
    { class: "heading" },
    h("div", {}, h("h1", { tabindex: -1 }, title), below && h("p", { class: "below" }, below)),
    actions.length > 0 && h("div", { class: "actions" }, actions),
  );
}

/** A card with a title; `more` stands at the right of it. */
export function card(title, more, ...children) {
  return h(
    "section",
    { class: "card" },
    h("header", {}, h("h2", {}, title), more && h("div", { class: "more" }, more)),
    children,
  );
}

/** A definition list of `[name, value]`; a pair whose value is null is left out. */
export function facts(pairs) {
  const shown = pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined);
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Where nothing is: one sentence, and what to do about it. */
export function empty(sentence, ...more) {
  return h("div", { class: "empty" }, h("p", {}, sentence), more);
}

/** Says quietly in a place why it stays empty: a 404 or 403 is told calmly, the rest as a fault. */
export function unavailable(node, error, what) {
  if (error.name === "AbortError") return node;
  const reasons = {
    403: `This key may not see ${what}.`,
    404: `This server does not offer ${what}.`,
  };
  const calm = reasons[error.status];
  return fill(
    node,
    h("p", { class: calm ? "quiet" : "fault", role: calm ? null : "alert" }, calm ?? error.message),
  );
}

/** A link of this page: `go("hosts", name)` is `#/hosts/name`, each segment encoded. */
export const link = (...segments) => `#/${segments.map(encodeURIComponent).join("/")}`;

/** Changes the query of the address without a new view: for filters. Empty values are left out. */
export function remember(query) {
  const [address] = location.hash.split("?");
  const given = Object.entries(query).filter(([, value]) => value);
  const search = String(new URLSearchParams(given));
  history.replaceState(null, "", `${address || "#/"}${search ? `?${search}` : ""}`);
}

/** A button. `kind` is "primary", "danger", "quiet" or nothing. */
export function button(label, onclick, kind = "", attributes = {}) {
  return h("button", { type: "button", class: `button ${kind}`, onclick, ...attributes }, label);
}
