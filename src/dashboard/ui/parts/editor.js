// A text area for JSON: numbered lines, checked as one types, faults told with their line and shown
// there. Tab leaves it, as it leaves every field.

import { fill, h } from "../lib/dom.js";
import { nearest, scan, spot } from "./json.js";

const ROWS_MIN = 6;
const ROWS_MAX = 34;
let serial = 0;

const linesOf = (text) => text.split("\n").length;

/**
 * An editor of `value`; `changed(text, sound)` is called with each change, `sound` telling whether it
 * is JSON. Answers `{node, text, set(text), tell(errors), point(pointer)}`: `tell` shows the
 * `{pointer, detail}` of a problem until the next change.
 */
export function editor(options) {
  return new Editor(options);
}

class Editor {
  constructor({ label, value, changed, readonly = false, rows = ROWS_MAX }) {
    const id = `editor-${(serial += 1)}`;
    this.changed = changed ?? (() => {});
    this.rows = rows;
    this.gutter = h("div", { class: "gutter", "aria-hidden": "true" });
    this.area = h("textarea", {
      id, class: "code", wrap: "off", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
      readonly, "aria-label": label, "aria-describedby": `${id}-faults`,
      oninput: () => this.typed(), onkeydown: (event) => this.key(event),
      onscroll: () => { this.gutter.scrollTop = this.area.scrollTop; },
    });
    this.list = h("ul", { id: `${id}-faults`, class: "faults", "aria-live": "polite" });
    this.node = h("div", { class: "editor" }, h("div", { class: "sheet" }, this.gutter, this.area),
      this.list);
    this.set(value);
  }

  get text() {
    return this.area.value;
  }

  set(value) {
    this.area.value = value;
    this.area.rows = Math.min(this.rows, Math.max(ROWS_MIN, linesOf(value) + 1));
    this.check();
  }

  typed() {
    this.check();
    this.changed(this.text, !this.fault);
  }

  check() {
    const { fault } = scan(this.text);
    this.fault = fault;
    this.show(fault ? [{ ...fault }] : []);
  }

  /** Shows what the server says is wrong, at the fields that it names. */
  tell(errors) {
    const { places } = scan(this.text);
    this.show(errors.map(({ pointer, detail }) => {
      const { key, start } = nearest(places, pointer);
      return { at: key ?? start, pointer, detail };
    }));
  }

  show(faults) {
    const told = faults.map((fault) => ({ ...fault, ...spot(this.text, fault.at) }));
    const lines = new Set(told.map(({ line }) => line));
    const number = (line) => h("span", { class: lines.has(line) ? "bad" : null }, line);
    const known = `${linesOf(this.text)} ${[...lines]}`;
    if (known !== this.known) {
      fill(this.gutter, Array.from({ length: linesOf(this.text) }, (_, place) => number(place + 1)));
    }
    this.known = known;
    this.gutter.scrollTop = this.area.scrollTop;
    this.area.setAttribute("aria-invalid", String(told.length > 0));
    fill(this.list, told.map(({ at, line, column, pointer, detail }) => h("li", {},
      h("button", { type: "button", class: "jump", onclick: () => this.jump(at) },
        pointer ? `line ${line}` : `line ${line}, column ${column}`),
      pointer && h("code", {}, pointer), " ", detail)));
  }

  /** Puts the cursor at an offset, and its line into sight. */
  jump(at, end = at) {
    this.area.focus();
    this.area.setSelectionRange(at, end);
    const height = this.area.scrollHeight / Math.max(1, linesOf(this.text));
    this.area.scrollTop = (spot(this.text, at).line - 4) * height;
  }

  /** Selects the value at a pointer. */
  point(pointer) {
    const { start, end } = nearest(scan(this.text).places, pointer);
    this.jump(start, end ?? start);
  }

  /** A new line begins where the one before it began. */
  key(event) {
    if (event.key !== "Enter" || event.isComposing || this.area.readOnly) return;
    const { selectionStart: at } = this.area;
    const line = this.text.slice(this.text.lastIndexOf("\n", at - 1) + 1, at);
    const deeper = /[{[]\s*$/.test(line) ? "  " : "";
    const indent = /^ */.exec(line)[0] + deeper;
    if (!indent) return;
    event.preventDefault();
    this.area.setRangeText(`\n${indent}`, at, this.area.selectionEnd, "end");
    this.typed();
  }
}
