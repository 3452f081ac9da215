// One template: its document, what it would send, and a test of it.

import { fill, h } from "../lib/dom.js";
import { Composing } from "../parts/composing.js";
import { preview } from "../parts/preview.js";

export default async function view(root, { params, signal }) {
  let shown = null;
  const template = new Composing("templates", params.id, {
    signal, changed: () => shown?.changed(), redrawn: () => draw(),
  });
  await template.open();
  shown = preview({ id: params.id, signal, document: () => template.editor,
    stored: (text) => template.stored(text) });
  const left = h("div", { class: "span-7 stack" });
  function draw() {
    fill(left, template.card(template.versions()));
  }
  draw();
  fill(root, template.top, h("div", { class: "grid top" }, left,
    h("div", { class: "span-5" }, shown.node)));
}
