// One delivery: where it is and why, what is to be sent, what came of each attempt, and what can be
// done about it.

import { get, may, send } from "../lib/api.js";
import { every, fill, h } from "../lib/dom.js";
import { count, ms } from "../lib/format.js";
import {
  badge, button, card, clock, facts, heading, link, status, ticking, word,
} from "../lib/parts.js";
import { complain, confirm, toast } from "../lib/confirm.js";
import { attemptView, capital } from "../parts/attempt.js";
import { copying } from "../parts/copy.js";
import { caveats, curl } from "../parts/curl.js";
import { lifeView } from "../parts/life.js";
import { named } from "../parts/names.js";
import { bodyView, headersView, signedBy, target } from "../parts/webhook.js";

const EVERY_MS = 2000;
const SIBLINGS = 5;
const ENDED = ["delivered", "failed", "exhausted", "expired", "cancelled"];
const AGAIN = ["failed", "exhausted", "expired", "cancelled"];

const ended = (delivery) => ENDED.includes(delivery.state);
const sentence = (text) => (text ? `${capital(text)}${/[.!?]$/.test(text) ? "" : "."}` : "");
const pathOf = (id) => `/v1/deliveries/${encodeURIComponent(id)}`;

/** When something that stands in its way is over, and what it is. */
function over(one) {
  if (!one.until && !one.delivery) return null;
  return h("span", { class: "quiet" }, one.until && [" (until ", clock(one.until), ", ",
    ticking(one.until, "until"), ")"], one.delivery && [" ",
    h("a", { href: link("deliveries", one.delivery) }, "see it")]);
}

/** The sentence at the top, and what it rests on. */
function whereabouts(delivery) {
  const blocked = delivery.blocked_by ?? [];
  const open = !ended(delivery);
  const took = ms(new Date(delivery.ended_at) - new Date(delivery.accepted_at));
  const tries = `${count(delivery.attempt_count)} attempt${delivery.attempt_count === 1 ? "" : "s"}`;
  const expected = open && delivery.next_attempt_at && delivery.state !== "in_flight";
  // What is nearest leads; `reason` has all of it in one sentence.
  const told = sentence(blocked[0]?.text ?? delivery.reason);
  const lines = [h("p", { class: "lead" }, told || `It is ${word(delivery.state)}.`,
    blocked[0] && over(blocked[0]))];
  if (!open) lines.push(h("p", {}, `It ended ${took} after it was accepted, with ${tries}.`));
  if (blocked.length > 1) {
    lines.push(h("ul", { class: "blocked" }, blocked.slice(1).map((one) =>
      h("li", {}, sentence(one.text), over(one)))));
  }
  const place = open && delivery.ahead > 0
    && `${count(delivery.ahead)} ${delivery.ahead === 1 ? "delivery goes" : "deliveries go"} first`;
  if (expected || place) {
    lines.push(h("p", { class: "next" },
      expected && ["Expected to go ", h("b", {}, ticking(delivery.next_attempt_at, "until")), " (",
        clock(delivery.next_attempt_at), ")", place ? ", " : "."], place && `${place}.`,
      delivery.expectation && h("span", { class: "quiet" }, ` ${sentence(delivery.expectation)}`)));
  }
  if (open && delivery.behind && !blocked.some((one) => one.delivery)) {
    lines.push(h("p", {}, h("a", { href: link("deliveries", delivery.behind) },
      "See the delivery that holds its ordering key")));
  }
  if (ended(delivery) && delivery.blocks_key) {
    lines.push(h("p", {}, `Its ordering key “${delivery.ordering_key}” stays blocked until it is `
      + "redriven or skipped."));
  }
  return lines;
}

function composedBy(composed, signal) {
  if (!composed) return [];
  const by = (kind, more) => composed[kind]
    && [named(kind, composed[kind], signal), more && `, ${more}`];
  return [
    ["Campaign", by("campaign", composed.variant && `variant ${composed.variant}`)],
    ["Canvas", by("canvas", composed.step && `step ${composed.step}`)],
    ["Template", by("template", composed.template_version && `version ${composed.template_version}`)],
    ["Recipient", composed.recipient && h("a",
      { href: `${link("deliveries")}?recipient=${encodeURIComponent(composed.recipient)}` },
      composed.recipient)],
    ["Send id", composed.send_id],
  ].map(([name, value]) => [name, value ?? null]);
}

function metadata(pairs) {
  const all = Object.entries(pairs);
  if (all.length === 0) return null;
  const search = (key, value) =>
    `${link("deliveries")}?${new URLSearchParams([[`metadata.${key}`, value]])}`;
  return h("ul", { class: "tags" }, all.map(([key, value]) =>
    h("li", {}, h("a", { class: "tag", href: search(key, value) }, `${key}=${value}`))));
}

function about(delivery, signal) {
  const query = new URLSearchParams({ trigger: delivery.trigger });
  const retries = delivery.retries_left === undefined ? `${delivery.retries} used`
    : `${delivery.retries} used, ${delivery.retries_left} left`;
  const list = facts([
    ["Host", h("a", { href: link("hosts", delivery.host) }, delivery.host)],
    ["Accepted", clock(delivery.accepted_at)],
    ["Due", delivery.due_at && !ended(delivery) ? clock(delivery.due_at) : null],
    ["Ended", delivery.ended_at ? clock(delivery.ended_at) : null],
    ["Expires", ended(delivery) ? null : ticking(delivery.expires_at, "until")],
    ["Attempts", delivery.attempt_count],
    ["Retries", retries],
    ["Priority", delivery.priority === "normal" ? null : delivery.priority],
    ["Ordering key", delivery.ordering_key],
    ...composedBy(delivery.composed, signal),
    ["Trigger", h("a", { class: "mono", href: `${link("deliveries")}?${query}` }, delivery.trigger)],
    ["Metadata", metadata(delivery.metadata)],
  ]);
  list.classList.add("rows");
  return list;
}

/** The other deliveries of its trigger; nothing where there are none. */
async function siblings(node, delivery, signal) {
  const query = new URLSearchParams({ trigger: delivery.trigger, limit: SIBLINGS + 1 });
  const { data, next } = await get(`/v1/deliveries?${query}`, { signal });
  const others = data.filter((row) => row.id !== delivery.id).slice(0, SIBLINGS);
  if (others.length === 0) return;
  const all = h("a", { href: `${link("deliveries")}?trigger=${delivery.trigger}` },
    next ? "all of them" : "as a list");
  fill(node, card("The trigger's other deliveries", all, h("ul", { class: "others" },
    others.map((row) => h("li", {}, badge(row.state), " ",
      h("a", { class: "clip", href: link("deliveries", row.id) }, `${row.method} ${row.url}`), " ",
      row.last_status ? status(row.last_status) : null)))));
}

function request(delivery) {
  const { webhook } = delivery;
  const body = webhook.body_size > 0 && copying("Copy body", () =>
    ({ text: webhook.body ?? webhook.body_base64 ?? "" }));
  const command = copying("Copy as curl", () => {
    const notes = caveats(webhook);
    return { text: curl(webhook), note: notes.join(", ") };
  });
  return card("Request", h("div", { class: "actions" }, command, body),
    h("div", { class: "webhook" }, target(webhook), headersView(webhook.headers),
      bodyView(webhook, "Body of the request"), signedBy(webhook)));
}

/** Asks, does it, and says so. */
async function act(delivery, [question, method, rest, said], reload) {
  if (!(await confirm(question))) return;
  try {
    await send(method, `${pathOf(delivery.id)}${rest}`);
    toast(said);
  } catch (error) {
    complain(error);
  }
  reload();
}

function actions(delivery, reload) {
  if (!may("deliveries:write")) return [];
  const where = `${delivery.method} ${delivery.url}`;
  const again = AGAIN.includes(delivery.state) && button("Redrive…", () => act(delivery, [{
    title: "Send it again?", action: "Redrive",
    text: `${where} is sent again, with the same webhook-id, as soon as its host may be called.`,
  }, "POST", "/redrive", "It is owed again."], reload), "primary");
  const skip = ended(delivery) && delivery.blocks_key && button("Skip…", () => act(delivery, [{
    title: "Let its ordering key go on?", action: "Skip",
    text: `What waits behind it under “${delivery.ordering_key}” is sent; this one stays as it is.`,
  }, "POST", "/skip", "The ordering key goes on."], reload));
  const cancel = ["scheduled", "waiting"].includes(delivery.state) && button("Cancel…", () =>
    act(delivery, [{
      title: "Cancel this delivery?", action: "Cancel it", danger: true,
      text: `${where} will not be sent. It can be redriven later.`,
    }, "DELETE", "", "It is cancelled."], reload), "danger");
  return [again, skip, cancel].filter(Boolean);
}

/** Places whose content is made anew only when what it shows has changed. */
function places() {
  const kept = new Map();
  return (name, data, make) => {
    const text = JSON.stringify(data);
    const place = kept.get(name) ?? { node: h("div", {}) };
    if (place.text !== text) fill(place.node, make());
    place.text = text;
    kept.set(name, place);
    return place.node;
  };
}

/** The attempts; those that were open stay open. */
function attempts(delivery, list) {
  const total = Math.max(1, ...delivery.attempts.map((attempt) => attempt.timings.total_us));
  const open = [...list.children].map((item) => item.querySelector("details")?.open);
  const last = delivery.attempts.length - 1;
  const fresh = delivery.attempts.length !== list.children.length;
  fill(list, delivery.attempts.map((attempt, place) =>
    attemptView(attempt, { total, open: (open[place] ?? false) || (fresh && place === last) })));
}

export default async function view(root, { params, signal }) {
  const part = places();
  const list = h("ol", { class: "attempts" });
  const beside = h("div", {});
  let delivery = null;

  function draw() {
    const state = h("span", {}, badge(delivery.state), " ",
      h("span", { class: "mono" }, delivery.id));
    const top = part("top", [delivery.state, delivery.blocks_key], () =>
      heading(`${delivery.method} ${delivery.url}`, state, ...actions(delivery, load)));
    const { state: now, blocks_key, reason, blocked_by, next_attempt_at, ahead, behind } = delivery;
    const why = [now, blocks_key, reason, blocked_by, next_attempt_at, ahead, behind];
    const where = part("where", [...why, delivery.expectation],
    () => h("div", { class: `where s-${delivery.state}` }, whereabouts(delivery)));
    const tried = part("attempts", delivery.attempts, () => {
      attempts(delivery, list);
      return card("Attempts", count(delivery.attempts.length), list,
        delivery.attempts.length === 0 && h("p", { class: "quiet" }, ended(delivery)
          ? "No attempt was made." : "None yet: it has not been its turn."));
    });
    const asked = part("request", delivery.webhook, () => request(delivery));
    const life = part("life", [delivery.deferrals, delivery.attempts, delivery.state],
      () => card("Its life", null, lifeView(delivery)));
    const facts = part("facts", { ...delivery, reason: 0, blocked_by: 0, next_attempt_at: 0,
      webhook: 0, attempts: 0, deferrals: 0 }, () => card("About it", null, about(delivery, signal)));
    if (root.contains(where)) return;
    fill(root, top, where, h("div", { class: "grid top" },
      h("div", { class: "span-8 stack" }, tried, asked),
      h("div", { class: "span-4 stack" }, facts, life, beside)));
  }

  async function load() {
    delivery = await get(pathOf(params.id), { signal });
    draw();
  }

  await load();
  siblings(beside, delivery, signal).catch(() => {});
  every(EVERY_MS, signal, () => (ended(delivery) ? null : load().catch(() => {})));
}
