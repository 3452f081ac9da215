// A canvas as a drawing: its steps as nodes in layers, the ways between them with their labels. Nodes
// are reached by Tab and the arrows; the same is told as a list.

import { fill, h, svg } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { layered } from "./layers.js";
import { nameKnown } from "./names.js";
import { stepWords, triggerWords, ways } from "./words.js";

const WIDTH = 216;
const HEIGHT = 62;
const COUNTED = 82;
/** Characters that fit a line of a node, and a label. */
const LINE = 29;
const LABEL = 30;
const CHARACTER = 6.4;
const MARGIN = 12;
/** How far a way from a step to itself goes beside it. */
const LOOP = 40;

const KINDS = {
  webhook: "webhook", delay: "delay", branch: "branch", wait_for_event: "wait for event",
  exit: "exit", start: "entry", end: "end",
};
const START = " start";
const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** The steps, what lets recipients in, and an end where the last way leads off. */
function nodesOf(document, counts) {
  const steps = Array.isArray(document.steps) ? document.steps.filter((step) => step?.id) : [];
  const edges = ways(steps);
  const nodes = [
    { id: START, kind: "start", title: "Entry", line: triggerWords(document.trigger) },
    ...steps.map((step) => ({ id: step.id, kind: step.type, title: step.id,
      line: stepWords(step, nameKnown) })),
  ];
  if (edges.some((way) => way.to === "")) {
    nodes.push({ id: "", kind: "end", title: "End", line: "the journey ends" });
  }
  if (steps[0]) edges.unshift({ from: START, to: steps[0].id, label: "" });
  for (const node of nodes) {
    node.counts = counts(node.id === START ? null : node.id);
    Object.assign(node, { width: WIDTH, height: node.counts ? COUNTED : HEIGHT });
  }
  const known = new Set(nodes.map((node) => node.id));
  const sound = edges.filter((way) => known.has(way.from) && known.has(way.to));
  return { nodes, edges: sound.map((way) => ({ ...way,
    labelWidth: way.label ? Math.min(way.label.length, LABEL) * CHARACTER + 14 : 0 })) };
}

/** A curve through points, upright at each. */
function curve(points) {
  let path = `M${points[0].join(",")}`;
  points.slice(1).forEach(([x, y], place) => {
    const [fromX, fromY] = points[place];
    const middle = (fromY + y) / 2;
    path += `C${fromX},${middle} ${x},${middle} ${x},${y}`;
  });
  return path;
}

/** A way from a step back to itself: a loop at its right side. */
function loopView(edge, nodes) {
  const { x, y } = nodes.find((node) => node.id === edge.from);
  const side = x + WIDTH / 2;
  const out = side + LOOP;
  return svg("g", { class: "edge back" },
    svg("path", { d: `M${side},${y - 12}C${out},${y - 24} ${out},${y + 24} ${side},${y + 12}`,
      "marker-end": "url(#arrow)" }),
    svg("text", { class: "loop", x: side + 4, y: y + 34 }, cut(edge.text, LABEL)));
}

function edgeView(edge) {
  const label = edge.label && svg("g", { class: "edge-label" }, svg("title", {}, edge.text),
    svg("rect", { x: edge.label[0] - edge.labelWidth / 2, y: edge.label[1] - 9,
      width: edge.labelWidth, height: 18, rx: 4 }),
    svg("text", { x: edge.label[0], y: edge.label[1] + 4, "text-anchor": "middle" },
      cut(edge.text, LABEL)));
  return svg("g", { class: `edge${edge.back ? " back" : ""}` },
    svg("path", { d: curve(edge.points), "marker-end": "url(#arrow)" }), label);
}

const countsText = (counts) => counts && counts.map(([word, number]) =>
  `${count(number)} ${word}`).join(" · ");

function told(node, edges) {
  const leads = edges.filter((edge) => edge.from === node.id)
    .map((edge) => `${edge.text ? `${edge.text}: ` : ""}${edge.to || "end"}`);
  return [`${KINDS[node.kind] ?? node.kind} ${node.title}`, node.line, countsText(node.counts),
    leads.length > 0 && `leads to ${leads.join("; ")}`].filter(Boolean).join(". ");
}

function nodeView(node, edges, choose) {
  const x = node.x - WIDTH / 2;
  const y = node.y - node.height / 2;
  // The space keeps the lines apart where they are read out as the button's name.
  const line = (dy, words, name) =>
    [" ", svg("text", { x: x + 16, y: y + dy, class: name }, cut(words, LINE))];
  return svg("g", {
    class: `node n-${node.kind}`, role: "button", tabindex: -1, "aria-description": told(node, edges),
    "aria-pressed": "false", dataset: { id: node.id }, onclick: () => choose(node.id),
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(node.id);
    },
  }, svg("rect", { class: "box", x, y, width: WIDTH, height: node.height, rx: 7 }),
  svg("rect", { class: "kind", x, y: y + 8, width: 4, height: node.height - 16, rx: 2 }),
  line(18, KINDS[node.kind] ?? String(node.kind), "kind-word"), line(35, node.title, "title"),
  line(52, node.line, "line"), node.counts && line(71, countsText(node.counts), "counts"));
}

const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/** The nearest node in the direction of an arrow. */
function toward(nodes, from, key) {
  const [dx, dy] = ARROWS[key];
  const far = (node) => {
    const [x, y] = [node.x - from.x, node.y - from.y];
    const along = x * dx + y * dy;
    return along > 1 ? along + 2 * Math.abs(x * dy + y * dx) : Infinity;
  };
  const best = nodes.reduce((a, b) => (far(b) < far(a) ? b : a), from);
  return far(best) < Infinity ? best : null;
}

/** As a list, for who does not see the drawing. */
function listed(nodes, edges) {
  return h("details", { class: "fold" }, h("summary", {}, "The steps as a list"),
    h("ol", { class: "steps" }, nodes.map((node) => h("li", {}, `${told(node, edges)}.`))));
}

/**
 * Draws a canvas's document into `place`; `counts(step)` answers `[[word, number]…]` of a step (of the
 * entry for null) or null; `chosen(step)` is called with the id of a node that was chosen.
 */
export function drawCanvas(place, { document, name, counts, chosen, selected }) {
  const { nodes, edges } = nodesOf(document, counts);
  const laid = layered(nodes, edges.map((edge) => ({ ...edge, text: edge.label })));
  const choose = (id) => {
    for (const one of views) one.setAttribute("aria-pressed", String(one.dataset.id === id));
    stop(id);
    chosen(id);
  };
  const views = laid.nodes.map((node) => nodeView(node, laid.edges, choose));
  const stop = (id) => views.forEach((one) =>
    one.setAttribute("tabindex", one.dataset.id === id ? 0 : -1));
  const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7,
    markerHeight: 7, orient: "auto" }, svg("path", { d: "M0,0L8,4L0,8Z" }));
  const beside = laid.looped.length > 0 ? LOOP + LABEL * CHARACTER : 0;
  const [width, height] = [laid.width + beside + 2 * MARGIN, laid.height + 2 * MARGIN];
  const drawing = svg("svg", {
    class: "graph", width, height, viewBox: `${-MARGIN} ${-MARGIN} ${width} ${height}`, role: "group",
    "aria-label": `The canvas ${name}: ${nodes.length} nodes`,
    onkeydown: (event) => {
      if (!ARROWS[event.key]) return;
      const from = laid.nodes.find((node) => node.id === event.target.dataset?.id);
      const to = from && toward(laid.nodes, from, event.key);
      if (!to) return;
      event.preventDefault();
      stop(to.id);
      views.find((one) => one.dataset.id === to.id).focus();
    },
  }, svg("defs", {}, arrow), laid.edges.map(edgeView),
  laid.looped.map((edge) => loopView(edge, laid.nodes)), views);
  const kept = views.some((one) => one.dataset.id === selected) ? selected : START;
  stop(kept);
  views.find((one) => one.dataset.id === selected)?.setAttribute("aria-pressed", "true");
  fill(place, h("div", { class: "scroll-x" }, drawing), listed(nodes, edges.map((edge) =>
    ({ ...edge, text: edge.label }))));
}

export { START };
