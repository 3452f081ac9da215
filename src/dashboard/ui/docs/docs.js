// The page of the API document: reads /openapi.json, lists its operations, shows one at a time.

import { clear, fill, h } from "../lib/dom.js";
import { resolve, tree, words } from "./schema.js";
import { form } from "./try.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const nav = document.getElementById("operations");
const content = document.getElementById("content");

function operationsOf(api) {
  const found = [];
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      if (item[method]) found.push({ path, method, operation: item[method] });
    }
  }
  return found;
}

function link({ path, method, operation }) {
  return h("li", {}, h("a", { href: `#${operation.operationId}` },
    h("span", { class: `method ${method}` }, method.toUpperCase()),
    h("span", {}, operation.summary ?? path)));
}

function matches({ path, method, operation }, wanted) {
  const text = `${method} ${path} ${operation.summary} ${operation.description ?? ""}`;
  return text.toLowerCase().includes(wanted);
}

function navigation(api, operations) {
  const list = h("div", {});
  const search = h("input", { type: "search", id: "search", placeholder: "Search operations" });
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const groups = (api.tags ?? []).map(({ name }) => {
      const rows = operations.filter((one) => one.operation.tags?.includes(name) && matches(one, wanted));
      return rows.length > 0 && h("section", {}, h("h2", {}, name), h("ul", {}, rows.map(link)));
    });
    fill(list, groups.some(Boolean) ? groups : h("p", { class: "hint" }, "Nothing fits."));
    mark();
  };
  search.addEventListener("input", draw);
  fill(nav, h("h1", {}, h("a", { href: "#" }, `${api.info.title} API`)),
    h("label", { for: "search", class: "visually-hidden" }, "Search operations"), search, list);
  draw();
}

function mark() {
  for (const anchor of nav.querySelectorAll("li a")) {
    if (anchor.getAttribute("href") === location.hash) anchor.setAttribute("aria-current", "true");
    else anchor.removeAttribute("aria-current");
  }
}

function overview(api) {
  const about = (api.tags ?? []).map(({ name, description }) => [
    h("h3", {}, name), h("p", {}, words(description)),
  ]);
  const schemes = Object.entries(api.components.securitySchemes ?? {});
  return [
    h("h1", {}, `${api.info.title} ${api.info.version}`),
    h("p", {}, words(api.info.description)),
    h("p", {}, h("a", { href: "/openapi.json" }, "The document (OpenAPI 3.1)"), " · ",
      h("a", { href: "/" }, "The dashboard")),
    h("section", {}, h("h2", {}, "Parts"), about),
    h("section", {}, h("h2", {}, "Access"),
      schemes.map(([name, scheme]) => [h("h3", {}, name), h("p", {}, words(scheme.description))])),
  ];
}

function contents(api, content) {
  return Object.entries(content ?? {}).map(([kind, { schema }]) => h("div", {},
    h("span", { class: "kind" }, `${kind}: `), tree(api, schema, true)));
}

function answers(api, operation) {
  return Object.entries(operation.responses).map(([status, given]) => {
    const answer = resolve(api, given);
    const headers = Object.keys(answer.headers ?? {});
    const body = h("div", {});
    const node = h("details", {}, h("summary", {}, h("code", {}, status), " ", words(answer.description)), body);
    node.addEventListener("toggle", () => {
      if (!node.open || body.childElementCount) return;
      fill(body, headers.length > 0 && h("p", {}, `Headers: ${headers.join(", ")}`), contents(api, answer.content));
    });
    return node;
  });
}

function parameters(api, operation) {
  return h("ul", { class: "members" }, (operation.parameters ?? []).map((parameter) => h("li", {},
    h("code", {}, parameter.name), h("span", { class: "kind" }, ` in the ${parameter.in} `),
    tree(api, parameter.schema), h("p", { class: "hint" }, words(parameter.description)))));
}

function one(api, { path, method, operation }) {
  const body = operation.requestBody;
  return [
    h("h1", {}, operation.summary),
    h("p", { class: "route" }, h("span", { class: `method ${method}` }, method.toUpperCase()), ` ${path}`),
    operation.description && h("p", {}, words(operation.description)),
    operation.parameters?.length > 0 && h("section", {}, h("h2", {}, "Parameters"), parameters(api, operation)),
    body && h("section", {}, h("h2", {}, body.required ? "Body" : "Body (may be left out)"), contents(api, body.content)),
    h("section", {}, h("h2", {}, "Answers"), answers(api, operation)),
    h("section", {}, h("h2", {}, "Try it"), form(api, { path, method }, operation)),
  ];
}

function show(api, operations) {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted === "content") return;
  const found = operations.find(({ operation }) => operation.operationId === wanted);
  fill(clear(content), found ? one(api, found) : overview(api));
  document.title = `${found ? `${found.operation.summary} · ` : ""}${api.info.title}: the API`;
  mark();
  scrollTo(0, 0);
}

async function begin() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const api = await answer.json();
  const operations = operationsOf(api);
  navigation(api, operations);
  show(api, operations);
  addEventListener("hashchange", () => {
    show(api, operations);
    content.focus({ preventScroll: true });
  });
}

begin().catch((error) => {
  fill(content, h("p", { class: "empty" }, `The document cannot be read: ${error.message}`));
});
