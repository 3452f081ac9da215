// Where the time of an attempt went: look-up, connection, TLS, the wait for the first byte, the rest.

import { h } from "../lib/dom.js";
import { ms } from "../lib/format.js";

/** The phases of an attempt in their order: `{name, kind, start, length}` in microseconds. */
export function phases(timings) {
  let start = 0;
  const all = [];
  const put = (name, kind, length) => {
    if (length === undefined || length === null || length < 0) return;
    all.push({ name, kind, start, length });
    start += length;
  };
  put("DNS", "dns", timings.dns_us);
  put("Connect", "connect", timings.connect_us);
  put("TLS", "tls", timings.tls_us);
  const total = timings.total_us;
  if (timings.first_byte_us === undefined) {
    put("No answer", "none", total - start);
  } else {
    put("First byte", "first", timings.first_byte_us - start);
    put("Rest", "rest", total - start);
  }
  return all;
}

const span = ({ start, length }, total) => ({
  "--from": `${(start / total) * 100}%`, "--part": `${(length / total) * 100}%`,
});

/** One thin bar of all phases; `total` is what its whole width stands for. */
export function bar(timings, total = timings.total_us) {
  const parts = phases(timings);
  const words = parts.map((part) => `${part.name} ${ms(part.length / 1000)}`).join(", ");
  return h("span", { class: "phases", role: "img", "aria-label": words, title: words },
    parts.map((part) => h("i", { class: `p-${part.kind}`, style: span(part, total || 1) })));
}

/** A row for each phase: its name, where it lies in the whole, how long it took. */
export function waterfall(timings) {
  const parts = phases(timings);
  const total = timings.total_us || 1;
  const row = (part) => h("div", {}, h("dt", {}, part.name),
    h("dd", {}, h("span", { class: "phases", "aria-hidden": "true" },
      h("i", { class: `p-${part.kind}`, style: span(part, total) })),
    h("span", { class: "took" }, ms(part.length / 1000))));
  const reused = timings.connect_us === undefined && timings.first_byte_us !== undefined;
  return h("div", { class: "waterfall" },
    h("dl", {}, parts.map(row), h("div", { class: "whole" }, h("dt", {}, "In all"),
      h("dd", {}, h("span", {}), h("span", { class: "took" }, ms(total / 1000))))),
    reused && h("p", { class: "hint" }, "On a connection that was open already."));
}
