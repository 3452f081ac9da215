// Trying an operation: a form that sends a request of this page's own origin, with the session's
// cookie or with a key that is pasted, and the same request as a line for a shell.

import { fill, h } from "../lib/dom.js";
import { resolve, words } from "./schema.js";

/** The key that was pasted; kept for this page alone, never stored. */
let pasted = "";

function field(parameter, document) {
  const schema = resolve(document, parameter.schema);
  const id = `field-${parameter.in}-${parameter.name}`;
  const example = parameter.in === "path" ? (schema.examples?.[0] ?? "") : "";
  const input = schema.enum
    ? h("select", { id }, h("option", { value: "" }, ""), schema.enum.map((one) => h("option", { value: one }, one)))
    : h("input", { id, value: example, placeholder: schema.examples?.[0] ?? "", autocomplete: "off" });
  const needed = parameter.required && h("span", { class: "needed" }, " needed");
  const label = h("label", { for: id }, parameter.name, needed, " ", h("span", { class: "kind" }, parameter.in));
  return { parameter, input, node: h("div", {}, label, input, h("p", { class: "hint" }, words(parameter.description))) };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl({ method, url, headers, body }) {
  const lines = [`curl -X ${method} ${quoted(location.origin + url)}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`  -H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push(`  -d ${quoted(body)}`);
  return lines.join(" \\\n");
}

function requestOf({ method, path }, fields, body) {
  const query = new URLSearchParams();
  const headers = {};
  let url = path;
  for (const { parameter, input } of fields) {
    const value = input.value.trim();
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(value));
    if (value === "") continue;
    if (parameter.in === "query") query.set(parameter.name, value);
    if (parameter.in === "header") headers[parameter.name.toLowerCase()] = value;
  }
  const text = body?.value.trim();
  if (text) headers["content-type"] = "application/json";
  if (pasted) headers.authorization = `Bearer ${pasted}`;
  const search = query.size ? `?${query}` : "";
  return { method: method.toUpperCase(), url: url + search, headers, body: text || undefined };
}

async function csrfWord() {
  const answer = await fetch("/v1/session", { credentials: "same-origin" });
  return answer.ok ? (await answer.json()).csrf : null;
}

async function sent(request) {
  const headers = { ...request.headers };
  if (request.method !== "GET" && !pasted) {
    const csrf = await csrfWord();
    if (csrf) headers["x-csrf-token"] = csrf;
  }
  const begun = performance.now();
  const credentials = pasted ? "omit" : "same-origin";
  const answer = await fetch(request.url, { ...request, headers, credentials });
  const text = await answer.text();
  return { answer, text, ms: Math.round(performance.now() - begun) };
}

function shown({ answer, text, ms }) {
  let body = text;
  try {
    body = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // No JSON is shown as it is.
  }
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  return [
    h("p", {}, h("strong", {}, `${answer.status} ${answer.statusText}`), ` in ${ms} ms`),
    h("pre", { tabindex: 0, "aria-label": "Headers of the answer" }, headers),
    h("pre", { tabindex: 0, "aria-label": "Body of the answer" }, body || "(no body)"),
  ];
}

/** A form that sends the operation at `route` (`method`, `path`). */
export function form(document, route, operation) {
  const fields = (operation.parameters ?? []).map((parameter) => field(parameter, document));
  const content = operation.requestBody?.content?.["application/json"];
  const example = content && JSON.stringify(content.example ?? {}, null, 2);
  const body = content && h("textarea", { id: "field-body", spellcheck: "false", value: example });
  const key = h("input", { id: "field-key", type: "password", autocomplete: "off", value: pasted });
  key.addEventListener("input", () => { pasted = key.value.trim(); });
  const line = h("pre", { hidden: true, tabindex: 0, "aria-label": "The request for a shell" });
  const out = h("div", { role: "status", "aria-live": "polite" });
  const request = () => requestOf(route, fields, body);
  const go = async (event) => {
    event.preventDefault();
    fill(out, h("p", { class: "hint" }, "Waiting for the answer…"));
    try {
      fill(out, shown(await sent(request())));
    } catch (error) {
      fill(out, h("p", {}, `No answer: ${error.message}`));
    }
  };
  const show = () => {
    line.textContent = curl(request());
    line.hidden = false;
  };
  return h("form", { onsubmit: go },
    fields.map(({ node }) => node),
    body && h("div", {}, h("label", { for: "field-body" }, "Body"), body),
    h("label", { for: "field-key" }, "API key"), key,
    h("p", { class: "hint" }, "Left empty, the session of the dashboard is used. It is not stored."),
    h("div", { class: "buttons" },
      h("button", { type: "submit", class: "primary" }, "Send"),
      h("button", { type: "button", onclick: show }, "Show as curl")),
    line, out);
}
