// Elements, made without ever parsing text as markup: what a webhook holds is shown, never obeyed.

const SVG = "http://www.w3.org/2000/svg";

function apply(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on") && typeof value === "function") {
    node.addEventListener(name.slice(2), value);
  } else if (name === "style") {
    // As properties: the page's policy forbids style attributes.
    for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
  } else if (name === "dataset") {
    for (const [key, text] of Object.entries(value)) node.dataset[key] = text;
  } else if (name === "value" || name === "checked" || name === "selected") {
    node[name] = value;
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * An element. `attributes` are attributes, but for `onclick` and its like (listeners), `style` (an
 * object of properties), `dataset` (an object), and `value`, `checked`, `selected` (properties);
 * null, undefined and false leave one out, true sets it empty. Children are nodes, texts, numbers
 * or arrays of them; null and false are left out.
 */
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) apply(node, name, value);
  append(node, children);
  // A select has its options only now.
  if (tag === "select" && attributes?.value !== undefined) node.value = attributes.value;
  return node;
}

/** As `h`, for drawings. */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) apply(node, name, value);
  append(node, children);
  return node;
}

/** Takes all children out of a node; answers the node. */
export function clear(node) {
  node.replaceChildren();
  return node;
}

/** Puts these children in the place of those that a node has. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** Sets a node's text, where it differs: what did not change is neither drawn nor read out again. */
export function text(node, value) {
  const wanted = String(value);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Calls `work` now and every `ms` until `signal` aborts; pauses while nobody looks at the page. */
export function every(ms, signal, work) {
  let running = false;
  const turn = async () => {
    if (running || signal.aborted || document.hidden) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
    }
  };
  const timer = setInterval(turn, ms);
  const seen = () => document.hidden || turn();
  document.addEventListener("visibilitychange", seen);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
  });
  return turn();
}

/** Calls `work` once, `ms` after the last call of the function that it answers. */
export function debounce(ms, work) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), ms);
  };
}
