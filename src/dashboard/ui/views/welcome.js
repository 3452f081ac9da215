// Before anything was ever sent: how to send something.

import { get } from "../lib/api.js";
import { clear, every, fill, h } from "../lib/dom.js";
import { button, card } from "../lib/parts.js";

const LOOK_EVERY_MS = 2000;

function command(session) {
  const lines = [
    `curl -X POST ${location.origin}/v1/triggers`,
    "  -H 'content-type: application/json'",
    session.key && "  -H 'authorization: Bearer YOUR_KEY'",
    `  -d '{"webhook": {"url": "https://example.com/hook", "body": {"hello": "world"}}}'`,
  ];
  return lines.filter(Boolean).join(" \\\n");
}

async function copy(event, words) {
  await navigator.clipboard.writeText(words);
  event.target.textContent = "Copied";
}

function guide(session) {
  const words = command(session);
  return card(
    "Nothing was sent yet",
    button("Copy", (event) => copy(event, words)),
    h("p", {}, "Send a first webhook; this page shows what becomes of it."),
    h("pre", { class: "block wrap", tabindex: 0 }, words),
    h(
      "p",
      { class: "quiet" },
      "To try it without a receiver of your own, let ",
      h("code", {}, "hostline listen"),
      " print what arrives, or watch ",
      h("code", {}, "hostline demo"),
      ".",
    ),
  );
}

/** Shows it in `node` until the first delivery was accepted. */
export async function welcome(node, session, signal) {
  const fresh = async () => (await get("/v1/stats", { signal })).deliveries.accepted === 0;
  try {
    if (!(await fresh())) return;
    fill(node, guide(session));
    await every(LOOK_EVERY_MS, signal, async () => {
      if (node.hasChildNodes() && !(await fresh())) clear(node);
    });
  } catch {
    // What cannot be known is not said.
  }
}
