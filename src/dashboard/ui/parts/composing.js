// What the views of a template, a campaign and a canvas have in common: a document that is edited,
// saved as a new version, launched, paused, put away.

import { may, send } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { badge, button, card, heading, link, ticking } from "../lib/parts.js";
import { ask, complain, confirm, toast } from "../lib/confirm.js";
import { draft, keep, open, pathOf, store, version } from "./document.js";
import { editor } from "./editor.js";

const WORD = { templates: "template", campaigns: "campaign", canvases: "canvas" };
const SENDS = { campaigns: "It sends nothing until it is resumed.",
  canvases: "Nobody enters it and nobody moves on in it until it is resumed." };

/** What may be done with an entry of a status: `[path, label, kind, text]`. */
function steps(kind, status) {
  const word = WORD[kind];
  const launch = ["launch", "Launch", "primary", `From now on this ${word} sends.`];
  const pause = ["pause", "Pause", "", SENDS[kind]];
  const resume = ["resume", "Resume", "primary", `This ${word} sends again.`];
  const archive = ["archive", "Archive", "danger",
    `It is put away: it sends nothing any more, and its name is free again. Its reports stay.`];
  const all = { draft: [launch, archive], live: [pause, archive], paused: [resume, archive],
    active: [archive] };
  return all[status] ?? [];
}

/** A document under an id, with its editor. `redrawn()` is called when what is stored has changed. */
export class Composing {
  constructor(kind, id, { changed, redrawn, signal }) {
    Object.assign(this, { kind, id, signal, redrawn });
    this.told = h("div", {});
    this.note = h("p", { class: "hint", role: "status" });
    this.top = h("div", {});
    this.buttons = h("div", { class: "actions" });
    this.onchange = changed;
  }

  async open() {
    const { head, saved } = await open(this.kind, this.id, this.signal);
    this.head = head;
    this.saved = saved;
    const readonly = !may("compose:write") || head?.status === "archived";
    this.editor = editor({
      label: `Document of the ${WORD[this.kind]}`, readonly,
      value: draft(this.kind, this.id) ?? saved,
      changed: (text, sound) => this.typed(text, sound),
    });
    this.draw();
  }

  get changed() {
    return this.editor.text !== this.saved;
  }

  /** The path under which this very text is stored; null while it is not. */
  stored(text) {
    return this.head && text === this.saved ? pathOf(this.kind, this.head.id) : null;
  }

  /** The document as it is typed; null while it is no JSON. */
  get document() {
    return this.editor.fault ? null : JSON.parse(this.editor.text);
  }

  typed(text, sound) {
    keep(this.kind, this.id, text === this.saved ? null : text);
    fill(this.told);
    this.drawButtons();
    this.onchange(text, sound);
  }

  draw() {
    const { head, kind } = this;
    const below = head && h("span", {}, badge(head.status), ` · version ${head.version} · changed `,
      ticking(head.updated_at, "ago"), head.tags.map((tag) => [" ", h("span", { class: "tag" }, tag)]));
    fill(this.top, heading(head?.name ?? `A new ${WORD[kind]}`, below, ...this.actions()));
    this.drawButtons();
  }

  drawButtons() {
    const write = may("compose:write") && this.head?.status !== "archived";
    const { changed } = this;
    const save = write && button(this.head ? "Save as a new version" : "Create", () => this.save(),
      "primary", { disabled: Boolean(this.editor.fault) || (Boolean(this.head) && !changed) });
    const discard = changed && this.head
      && button("Discard changes", () => this.replace(this.saved), "quiet");
    const had = this.buttons.contains(document.activeElement);
    fill(this.buttons, save, discard);
    if (had) this.buttons.querySelector("button:enabled")?.focus();
    fill(this.note, changed && this.head ? "Not saved yet." : null);
  }

  /** Puts another text into the editor. */
  replace(text) {
    this.editor.set(text);
    this.typed(text, true);
  }

  actions() {
    const { head, kind } = this;
    if (!head) return [];
    const report = h("a", { class: "button quiet",
      href: `#/reports?${WORD[kind]}=${encodeURIComponent(head.id)}` }, "Report");
    const sent = h("a", { class: "button quiet",
      href: `#/deliveries?${WORD[kind]}=${encodeURIComponent(head.id)}` }, "Deliveries");
    if (!may("compose:write")) return [report, sent];
    return [report, sent, button("Duplicate…", () => this.duplicate()),
      ...steps(kind, head.status).map((step) => button(`${step[1]}…`, () => this.act(step), step[2]))];
  }

  async act([path, label, kind, text]) {
    const sure = await confirm({ title: `${label} “${this.head.name}”?`, text, action: label,
      danger: kind === "danger" });
    if (!sure) return;
    try {
      this.head = await send("POST", `${pathOf(this.kind, this.head.id)}/${path}`);
      toast(`“${this.head.name}” is ${this.head.status}.`);
      if (this.head.status === "archived") this.editor.area.readOnly = true;
      this.draw();
      this.redrawn?.();
    } catch (error) {
      complain(error);
    }
  }

  async duplicate() {
    const given = await ask({ title: `Duplicate “${this.head.name}”`, action: "Duplicate",
      fields: [{ name: "name", label: "Name of the copy", value: `${this.head.name} (copy)`,
        required: true }] });
    if (!given) return;
    try {
      const copy = await send("POST", `${pathOf(this.kind, this.head.id)}/duplicate`, given);
      location.hash = link("compose", this.kind, copy.id);
    } catch (error) {
      complain(error);
    }
  }

  async save() {
    const text = this.editor.text;
    try {
      const { head, saved } = await store(this.kind, this.head, text);
      keep(this.kind, this.id, null);
      toast(this.head ? `Saved as version ${head.version}.` : `“${head.name}” is created.`);
      fill(this.told);
      if (!this.head) {
        location.hash = link("compose", this.kind, head.id);
        return;
      }
      this.head = head;
      this.saved = saved;
      // What was typed meanwhile stays.
      if (this.editor.text === text) this.editor.set(saved);
      this.draw();
      this.onchange(this.editor.text, !this.editor.fault);
      this.redrawn?.();
    } catch (error) {
      this.refused(error);
    }
  }

  /** Shows a problem in its own words, its faults at their fields. */
  refused(error) {
    if (error.name === "AbortError") return;
    const errors = (error.errors ?? []).filter(({ pointer }) => pointer !== undefined);
    this.editor.tell(errors);
    fill(this.told, h("div", { class: "notice bad", role: "alert" },
      h("p", { class: "strong" }, "This was not saved."), h("p", {}, error.message)));
    if (errors.length > 0) this.editor.point(errors[0].pointer);
  }

  /** The card with the editor; `more` stands at its right. */
  card(more) {
    return card("Document", more, this.told, this.editor.node,
      h("div", { class: "actions saving" }, this.buttons, this.note));
  }

  /** A choice of versions, where there are several. */
  versions() {
    const last = this.head?.version ?? 1;
    if (last < 2) return null;
    const select = h("select", { "aria-label": "Version to look at", onchange: async () => {
      try {
        const number = Number(select.value);
        const text = number === last ? this.saved
          : await version(this.kind, this.head.id, number, this.signal);
        this.replace(text);
      } catch (error) {
        complain(error);
      }
    } }, Array.from({ length: Math.min(last, 200) }, (_, place) =>
      h("option", { value: last - place }, `version ${last - place}`)));
    return select;
  }
}
