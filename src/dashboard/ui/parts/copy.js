// Putting a text on the clipboard, also where the page was not fetched over TLS.

import { h } from "../lib/dom.js";
import { button } from "../lib/parts.js";
import { toast } from "../lib/confirm.js";

async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "visually-hidden", value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser does not let this page copy.");
  return undefined;
}

/** A button that copies what `what()` answers: a text, and a note for who will paste it. */
export function copying(label, what, attributes = {}) {
  return button(label, async () => {
    const { text, note } = what();
    try {
      await copy(text);
      toast(note ? `Copied; ${note}.` : "Copied.");
    } catch (error) {
      toast(error.message, "bad");
    }
  }, "", attributes);
}
