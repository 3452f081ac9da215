// How a webhook and an answer are shown: method, URL, headers, body. Nothing of them is ever markup.

import { h } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { pretty } from "./json.js";

/** Headers as `[name, value]` pairs. */
export function headersView(headers, none = "No headers.") {
  if (headers.length === 0) return h("p", { class: "quiet" }, none);
  const row = ([name, value]) => h("div", {}, h("dt", {}, name),
    h("dd", value === "***" ? { class: "quiet", title: "masked by the server" } : {}, value));
  return h("dl", { class: "headers" }, headers.map(row));
}

/** A body: JSON in lines, text as it is, what is neither as base64; with its size. */
export function bodyView(part, label = "Body") {
  if (!part || part.body_size === 0) return h("p", { class: "quiet" }, "No body.");
  const binary = part.body_base64 !== undefined;
  const text = binary ? part.body_base64 : pretty(part.body ?? "");
  const notes = [bytes(part.body_size)];
  if (binary) notes.push("no text; shown as base64");
  if (part.body_truncated) notes.push("only the beginning is kept");
  return h("div", { class: "body" },
    h("pre", { class: "block wrap", tabindex: 0, role: "group", "aria-label": label }, text),
    h("p", { class: "hint" }, notes.join(" · ")));
}

/** Method and URL in one line that breaks where it has to. */
export const target = ({ method, url }) =>
  h("p", { class: "target" }, h("span", { class: "method" }, method), " ", h("span", {}, url));

/** The names of the secrets that sign a webhook. */
export function signedBy(webhook) {
  if (!webhook.secret_ref) return null;
  const names = [webhook.secret_ref].flat().join(", ");
  return h("p", { class: "hint" }, `Signed with ${names} when it is sent.`);
}

/** The whole of a webhook. */
export function webhookView(webhook) {
  return h("div", { class: "webhook" }, target(webhook), headersView(webhook.headers),
    bodyView(webhook, "Body of the request"), signedBy(webhook));
}
