// One canvas: drawn as a graph with what became of those in it, its document beside it.

import { get, path } from "../lib/api.js";
import { every, fill, h } from "../lib/dom.js";
import { button, card, empty } from "../lib/parts.js";
import { Composing } from "../parts/composing.js";
import { pathOf } from "../parts/document.js";
import { START, drawCanvas } from "../parts/graph.js";
import { heads, nameKnown } from "../parts/names.js";
import { webhookWords } from "../parts/words.js";

const EVERY_MS = 5000;
/** The counts that a node has room for, in this order. */
const WORDS = ["entered", "exited", "sent", "delivered", "failed", "exhausted", "expired", "aborted"];
const SHOWN = 3;

/** The counts of a report by step: `null` stands for the whole canvas. */
function byStep(report, steps) {
  const counts = new Map();
  for (const part of report.parts) {
    // A part is a step, then perhaps a template and its version; ids may hold spaces.
    const own = steps.filter((id) => part.part === id || part.part.startsWith(`${id} `))
      .sort((a, b) => b.length - a.length)[0] ?? null;
    const sums = counts.get(own) ?? {};
    const numbers = part.counts ?? part;
    for (const word of WORDS) if (numbers[word]) sums[word] = (sums[word] ?? 0) + numbers[word];
    counts.set(own, sums);
  }
  const total = report.total.counts ?? report.total;
  counts.set(null, { entered: total.entered, exited: total.exited });
  return counts;
}

function shown(sums) {
  const all = WORDS.filter((word) => sums?.[word]).map((word) => [word, sums[word]]);
  return all.length > 0 ? all.slice(0, SHOWN) : null;
}

/** What stands in the document of the step that is chosen. */
function inspect(step, place, canvas) {
  const about = step.webhooks?.map?.((webhook) =>
    h("p", { class: "target" }, webhookWords(webhook, nameKnown)));
  return card(step.id, step.type.replaceAll("_", " "), about,
    h("pre", { class: "block wrap", tabindex: 0, role: "group", "aria-label": `Step ${step.id}` },
      JSON.stringify(step, null, 2)),
    h("div", { class: "actions" }, button("Show it in the document", () =>
      canvas.editor.point(`/steps/${place}`))));
}

export default async function view(root, { params, signal }) {
  let counts = new Map();
  let selected = null;
  let drawn = "";
  const graph = h("div", { class: "canvas" });
  const inspector = h("div", {});
  const left = h("div", { class: "span-7 stack" });
  const canvas = new Composing("canvases", params.id, {
    signal, changed: () => draw(), redrawn: () => drawCard(),
  });
  const stepsOf = (document) => (Array.isArray(document?.steps) ? document.steps : []);

  function choose(id) {
    selected = id;
    const steps = stepsOf(canvas.document);
    const place = steps.findIndex((step) => step.id === id);
    fill(inspector, place >= 0 && inspect(steps[place], place, canvas));
  }

  function draw() {
    const { document } = canvas;
    if (!document) return;
    const state = JSON.stringify([document, [...counts]]);
    if (state === drawn) return;
    drawn = state;
    try {
      drawCanvas(graph, { document, name: document.name, selected, chosen: choose,
        counts: (step) => shown(counts.get(step)) });
    } catch {
      // Half typed: a step may lack what its type needs.
      fill(graph, empty("This cannot be drawn as it stands."));
    }
    if (selected !== null && selected !== START) choose(selected);
  }

  function drawCard() {
    fill(left, canvas.card(canvas.versions()));
  }

  async function load() {
    if (!canvas.head) return;
    try {
      const report = await get(path(`${pathOf("canvases", canvas.head.id)}/report`), { signal });
      counts = byStep(report, stepsOf(canvas.document).map((step) => step.id));
      draw();
    } catch {
      // The drawing stands without its counts; the next turn asks again.
    }
  }

  await Promise.all([canvas.open(), heads("template", signal).catch(() => {})]);
  drawCard();
  draw();
  fill(root, canvas.top,
    h("section", { class: "card", "aria-label": "The canvas as a graph" }, graph),
    h("div", { class: "grid top below-graph" }, left, h("div", { class: "span-5" }, inspector)));
  every(EVERY_MS, signal, load);
}
