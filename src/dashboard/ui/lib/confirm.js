// Asking before something is done, and saying that it was.

import { h } from "./dom.js";

let serial = 0;

function field({ name, label, value, type, hint, required, placeholder, max, min, step }) {
  const id = `ask-${(serial += 1)}`;
  const rows = type === "area" ? { rows: 3 } : { type: type ?? "text", min, max, step };
  const input = h(type === "area" ? "textarea" : "input", {
    id,
    name,
    placeholder,
    required,
    value: value ?? "",
    autocomplete: "off",
    "aria-describedby": hint ? `${id}-hint` : null,
    ...rows,
  });
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

/**
 * Asks in a dialog. `text` is a text, a node or an array of them; `fields` are
 * `{name, label, value, type: "text"|"number"|"area", hint, required, placeholder}`.
 * Answers the values by name (an empty object without fields), or null when it was declined.
 */
export function ask({ title, text, action, danger, fields = [] }) {
  const before = document.activeElement;
  const id = `dialog-${(serial += 1)}`;
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id }, title),
    text && h("div", { class: "dialog-text" }, typeof text === "string" ? h("p", {}, text) : text),
    fields.map(field),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "button", onclick: () => dialog.close("") }, "Cancel"),
      h("button", { class: `button ${danger ? "danger" : "primary"}`, value: "yes" }, action),
    ),
  );
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": id }, form);
  document.body.append(dialog);
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      const values = Object.fromEntries(new FormData(form));
      dialog.remove();
      before?.focus?.();
      answer(dialog.returnValue === "yes" ? values : null);
    });
    // A click beside it declines.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(""));
    dialog.showModal();
    const first = form.querySelector("input, textarea");
    // What cannot be undone is not one keystroke away.
    (first ?? form.querySelector(danger ? "button" : "button[value]")).focus();
  });
}

/** Asks yes or no. */
export async function confirm(question) {
  return (await ask(question)) !== null;
}

const SHOWN_MS = 6000;

/** Says something in the corner, politely; `kind` is "good" or "bad". */
export function toast(message, kind = "good") {
  let area = document.getElementById("toasts");
  if (!area) {
    area = h("div", { id: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(area);
  }
  const note = h("p", { class: `toast ${kind}` }, message);
  area.append(note);
  setTimeout(() => note.remove(), SHOWN_MS);
}

/** Says in the corner what went wrong; keeps quiet where a view was merely left. */
export function complain(error) {
  if (error.name === "AbortError") return;
  toast(error.message, "bad");
}
