// One attempt: its outcome, where its time went, and the whole answer.

import { h } from "../lib/dom.js";
import { ms } from "../lib/format.js";
import { clock, status } from "../lib/parts.js";
import { bodyView, headersView } from "./webhook.js";
import { bar, waterfall } from "./waterfall.js";

/** What a browser's network panel shows of a request. */
export function answerView(attempt) {
  const { response } = attempt;
  const told = h("p", {}, h("span", { class: "strong" }, `${capital(attempt.reason)}: `),
    `${attempt.meaning}.`);
  if (!response) return h("div", { class: "answer" }, told, waterfall(attempt.timings));
  return h("div", { class: "answer" }, told, waterfall(attempt.timings),
    h("h3", {}, "Headers of the answer"), headersView(response.headers),
    h("h3", {}, "Body of the answer"), bodyView(response, "Body of the answer"));
}

/** A text with its first letter a capital. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** An attempt that opens; `total` (microseconds) is what a whole bar stands for. */
export function attemptView(attempt, { open, total }) {
  const summary = h("summary", {},
    h("span", { class: "number" }, `#${attempt.number}`), clock(attempt.started_at),
    attempt.status === null ? h("span", { class: "code" }, "blocked") : status(attempt.status),
    h("span", { class: "why" }, attempt.response ? attempt.meaning : attempt.reason),
    bar(attempt.timings, total),
    h("span", { class: "took" }, ms(attempt.timings.total_us / 1000)));
  return h("li", {}, h("details", { class: "attempt", open }, summary, answerView(attempt)));
}
