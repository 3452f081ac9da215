// The life of a delivery: a strip that shows where its time went, and the same as a list.

import { h } from "../lib/dom.js";
import { ms } from "../lib/format.js";
import { badge, clock, status } from "../lib/parts.js";

/** Entries of the list that are shown; what lies between is counted. */
const SHOWN = 18;
const at = (text) => new Date(text).getTime();

/** What happened, oldest first: `{at, node}`. */
function entries(delivery) {
  const put = (when, ...children) => ({ at: at(when), node: h("li", {}, children) });
  const took = (from, to) => ms(at(to) - at(from));
  const all = [put(delivery.accepted_at, badge("scheduled", "accepted"), " ",
    h("span", { class: "when" }, clock(delivery.accepted_at)))];
  for (const { condition, reason, from, to } of delivery.deferrals) {
    const time = to ? [clock(from), `, for ${took(from, to)}`] : ["since ", clock(from)];
    all.push(put(from, badge(condition), " ", h("span", { class: "when" }, time),
      reason && h("p", { class: "quiet" }, `Its host waited: ${reason}.`)));
  }
  for (const attempt of delivery.attempts) {
    const good = attempt.status >= 200 && attempt.status < 300;
    all.push(put(attempt.started_at, badge(good ? "delivered" : "retried",
      `attempt ${attempt.number}`), " ", attempt.status === null ? "blocked" : status(attempt.status),
    " ", h("span", { class: "when" }, clock(attempt.started_at),
      `, ${ms(attempt.timings.total_us / 1000)}`)));
  }
  if (delivery.ended_at) {
    all.push(put(delivery.ended_at, badge(delivery.state), " ",
      h("span", { class: "when" }, clock(delivery.ended_at),
        `, ${took(delivery.accepted_at, delivery.ended_at)} after it was accepted`)));
  }
  return all.sort((a, b) => a.at - b.at).map((entry) => entry.node);
}

/** The strip: stretches of waiting in the colour of the host's state, attempts as marks on it. */
function strip(delivery) {
  const start = at(delivery.accepted_at);
  const end = delivery.ended_at ? at(delivery.ended_at) : Date.now();
  const whole = Math.max(1, end - start);
  const part = (value) => `${Math.min(100, Math.max(0, (value / whole) * 100))}%`;
  const waits = delivery.deferrals.map(({ condition, from, to }) => h("i", {
    class: `wait s-${condition}`,
    style: { "--from": part(at(from) - start), "--part": part((to ? at(to) : end) - at(from)) },
  }));
  const marks = delivery.attempts.map((attempt) => h("i", {
    class: `mark ${attempt.status >= 200 && attempt.status < 300 ? "s-delivered" : "s-failed"}`,
    style: { "--from": part(at(attempt.started_at) - start),
      "--part": part(attempt.timings.total_us / 1000) },
  }));
  return h("div", { class: "life", "aria-hidden": "true" }, waits, marks);
}

/** Both. */
export function lifeView(delivery) {
  const all = entries(delivery);
  const cut = all.length - SHOWN;
  const shown = cut > 0
    ? [all[0], h("li", { class: "quiet" }, `${cut} more`), ...all.slice(cut + 1)] : all;
  return [strip(delivery), h("ol", { class: "timeline" }, shown)];
}
