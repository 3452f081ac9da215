// Redriving or cancelling all deliveries of a filter: counted first, asked, then followed.

import { get, send } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { complain, confirm, toast } from "../lib/confirm.js";

const LOOK_MS = 400;
const WORDS = {
  redrive: { do: "Redrive", doing: "Redriving", done: "redriven", danger: false },
  cancel: { do: "Cancel", doing: "Cancelling", done: "cancelled", danger: true },
};
const many = (number) => `${count(number)} ${number === 1 ? "delivery" : "deliveries"}`;
const rest = (ms, signal) => new Promise((done, left) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    left(new DOMException("left", "AbortError"));
  });
});

async function asked(action, filter, words, narrow) {
  const found = await send("POST", "/v1/redrives", { action, filter, dry_run: true });
  if (found.matched === 0) {
    toast(`There is nothing that could be ${words.done}.`);
    return null;
  }
  const number = `${found.counted_to_the_end ? "" : "At least "}${many(found.matched)}`;
  const text = [h("p", {}, `${number} ${found.matched === 1 ? "is" : "are"} to be ${words.done}.`),
    narrow ? h("p", {}, narrow) : h("p", {}, "No filter is set: that is everything.")];
  const sure = await confirm({
    title: `${words.do} all that match?`, text, danger: words.danger,
    action: `${words.do} ${count(found.matched)}`,
  });
  return sure ? found.matched : null;
}

/** Asks, begins, and shows in `node` how far it is. Answers whether something was done. */
export async function redriveAll(node, { action, filter, narrow, signal }) {
  const words = WORDS[action];
  try {
    const matched = await asked(action, filter, words, narrow);
    if (matched === null) return false;
    let now = await send("POST", "/v1/redrives", { action, filter });
    const bar = h("progress", { max: matched, value: 0, "aria-label": words.doing });
    const told = h("span", { role: "status" });
    fill(node, h("div", { class: "notice progress" }, told, bar));
    while (now.state === "running") {
      bar.value = Math.min(now.matched, matched);
      fill(told, `${words.doing}: ${count(now.done)} of ${many(matched)}`);
      await rest(LOOK_MS, signal);
      now = await get(`/v1/redrives/${now.id}`, { signal });
    }
    const left = now.skipped > 0 ? `; ${count(now.skipped)} had changed meanwhile` : "";
    const kind = now.state === "done" ? "good" : "bad";
    const end = now.state === "done" ? "" : ` It broke off: ${now.state}.`;
    toast(`${many(now.done)} ${words.done}${left}.${end}`, kind);
    return true;
  } catch (error) {
    complain(error);
    return false;
  } finally {
    fill(node);
  }
}
