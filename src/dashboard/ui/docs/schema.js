// Schemas, shown as trees that open one level at a time: a schema may refer to itself.

import { h } from "../lib/dom.js";

/** What `#/components/…` in the document stands for; the thing itself where it is no reference. */
export function resolve(document, thing) {
  if (!thing?.$ref) return thing ?? {};
  const parts = thing.$ref.slice(2).split("/");
  return parts.reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], document) ?? {};
}

/** Text in which what stands in backticks is code. */
export function words(text) {
  return (text ?? "").split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part));
}

const nameOf = (schema) => schema?.$ref?.split("/").pop() ?? "";

function kindOf(document, schema) {
  const found = resolve(document, schema);
  const name = nameOf(schema);
  if (name) return name;
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (found.oneOf ?? found.anyOf) {
    return (found.oneOf ?? found.anyOf).map((one) => kindOf(document, one)).join(" or ");
  }
  if (found.allOf) return "object";
  const types = [found.type ?? "any"].flat();
  const words = types.map((type) => (type === "array" ? `array of ${kindOf(document, found.items)}` : type));
  return words.join(" or ");
}

function bounds(schema) {
  const said = [];
  if (schema.format) said.push(schema.format);
  if (schema.pattern) said.push(`fits ${schema.pattern}`);
  if (schema.minLength !== undefined || schema.maxLength !== undefined) {
    said.push(`${schema.minLength ?? 0} to ${schema.maxLength ?? "any number of"} characters`);
  }
  if (schema.minItems !== undefined) said.push(`${schema.minItems} to ${schema.maxItems} items`);
  if (schema.minimum !== undefined) said.push(`from ${schema.minimum}`);
  if (schema.exclusiveMinimum !== undefined) said.push(`above ${schema.exclusiveMinimum}`);
  if (schema.maximum !== undefined) said.push(`to ${schema.maximum}`);
  if (schema.default !== undefined) said.push(`${JSON.stringify(schema.default)} unless given`);
  return said.join(", ");
}

function parts(document, schema) {
  const found = resolve(document, schema);
  const rows = [];
  for (const one of found.allOf ?? []) rows.push(...parts(document, one));
  for (const one of found.oneOf ?? found.anyOf ?? []) {
    if (opens(document, one)) rows.push(h("li", {}, h("span", { class: "kind" }, "either "), tree(document, one)));
  }
  for (const [name, member] of Object.entries(found.properties ?? {})) {
    const needed = (found.required ?? []).includes(name);
    rows.push(h("li", {}, h("code", {}, name), needed ? " (always) " : " ", tree(document, member)));
  }
  if (found.items) rows.push(h("li", {}, h("span", { class: "kind" }, "each item: "), tree(document, found.items)));
  if (found.additionalProperties?.type || found.additionalProperties?.$ref) {
    rows.push(h("li", {}, h("span", { class: "kind" }, "each member: "), tree(document, found.additionalProperties)));
  }
  return rows;
}

function opens(document, schema) {
  const found = resolve(document, schema);
  if (found.allOf || found.properties) return true;
  if (found.items) return opens(document, found.items);
  return (found.oneOf ?? found.anyOf ?? []).some((one) => one.$ref || opens(document, one));
}

/** A schema in words, with what it is made of behind a disclosure that fills itself when opened. */
export function tree(document, schema, open = false) {
  const found = resolve(document, schema);
  const limits = bounds(found);
  const said = schema?.description ?? found.description;
  const head = [
    h("span", { class: "kind" }, kindOf(document, schema), limits && ` (${limits})`),
    said && h("span", { class: "said" }, " ", words(said)),
  ];
  if (!opens(document, schema)) return h("span", {}, head);
  const list = h("ul", { class: "members" });
  const fillOnce = () => list.childElementCount || list.append(...parts(document, schema));
  const node = h("details", { open }, h("summary", {}, head), list);
  node.addEventListener("toggle", () => node.open && fillOnce());
  if (open) fillOnce();
  return node;
}
