// What is told of a host in a table and on its own page alike.

import { h } from "./dom.js";
import { count, percent, rate } from "./format.js";
import { badge, ticking, word } from "./parts.js";

/** The states of a host, those that hurt first. */
export const STATES = [
  "cooling_down",
  "probing",
  "backing_off",
  "limited",
  "paused",
  "healthy",
  "idle",
];

/** A bar of which `part` (0 to 1) is filled. */
export function bar(part, color, attributes = {}) {
  const width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  const fillings = { "--part": width, "--c": `var(--${color})` };
  return h(
    "div",
    { class: "bar", "aria-hidden": "true", ...attributes },
    h("i", { style: fillings }),
  );
}

/** A host's state, and how long it is to last. */
export function condition(row) {
  const drains = row.controls?.draining;
  return [
    badge(row.state),
    row.until && [" ", h("span", { class: "quiet" }, ticking(row.until, "left"))],
    drains && [" ", badge("draining")],
  ];
}

/** The budget that a host's headers named: a bar, what is left, and when it begins anew. */
export function budget(row) {
  const { limit, remaining, resets_at: resets } = row.budget ?? {};
  if (limit === null || limit === undefined) return h("span", { class: "quiet" }, "–");
  const used = Math.max(0, limit - (remaining ?? limit));
  const color = remaining === 0 ? "bad" : used / limit > 0.8 ? "warn" : "accent";
  const title = `${count(used)} of ${count(limit)} used, ${count(remaining)} remaining`;
  return h(
    "div",
    { class: "budget", title },
    bar(limit ? used / limit : 1, color),
    h("span", {}, `${count(remaining)} left of ${count(limit)}`),
    resets && h("span", { class: "quiet" }, ticking(resets, "left")),
  );
}

/** The rate that holds now: the learned one, or the one that was set. */
export function pace(row) {
  const { learned_rate: learned, static_rate: fixed } = row.budget ?? {};
  if (learned !== null && learned !== undefined) return `${rate(learned)}/s`;
  return fixed ? h("span", { class: "quiet", title: "Set by hand" }, `${rate(fixed)}/s`) : "–";
}

/** How much of what was tried within a minute succeeded. */
export function success(row) {
  const { attempts, delivered } = row.last_minute ?? {};
  const ratio = row.success_ratio ?? (attempts ? delivered / attempts : null);
  if (ratio === null || ratio === undefined) return "–";
  return h(
    "span",
    { class: ratio < 0.5 ? "fault strong" : ratio < 0.95 ? "warned" : null },
    percent(ratio),
  );
}

/** Why a host is as it is, in words, with those of the operator who paused it. */
export function why(row) {
  if (row.alive === false && !row.controls?.paused) return "nothing to do";
  return [row.reason, row.controls?.reason].filter(Boolean).join(": ");
}

/** Hosts by state as one labelled bar; each part leads to its hosts. `counts` are by state. */
export function census(counts) {
  const shown = STATES.map((state) => (state === "idle" ? "asleep" : state));
  const all = shown.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const place = (state) => `#/hosts?state=${state === "asleep" ? "idle" : state}`;
  const parts = shown
    .filter((state) => counts[state] > 0)
    .map((state) =>
      h("a", {
        class: `part s-${state}`,
        href: place(state),
        tabindex: -1,
        "aria-hidden": "true",
        title: `${count(counts[state])} ${word(state)}`,
        style: { "--part": String(counts[state] / all) },
      }),
    );
  const names = shown.map((state) =>
    h(
      "li",
      { class: counts[state] ? null : "none-of" },
      h("a", { href: place(state) }, badge(state), h("b", {}, count(counts[state] ?? 0))),
    ),
  );
  return [h("div", { class: "census" }, parts), h("ul", { class: "census-names" }, names)];
}
