// One campaign: what it does in few words, its document, what it would send and what it would come to.

import { send } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count, rate } from "../lib/format.js";
import { button, card, clock, facts, link } from "../lib/parts.js";
import { complain } from "../lib/confirm.js";
import { table } from "../lib/table.js";
import { Composing } from "../parts/composing.js";
import { pathOf } from "../parts/document.js";
import { preview } from "../parts/preview.js";
import { filterWords, triggerWords } from "../parts/words.js";

const CAP = (cap) => cap && `${cap.messages} per ${cap.per}`;
const QUIET = (quiet) => quiet && `${quiet.from} to ${quiet.to}, ${quiet.time_zone ?? "UTC"}`;

function variants(document) {
  if (!document.variants) return null;
  const all = document.variants.map(({ name, weight }) => `${name} ${weight}`);
  return [...all, document.control_group && `control group ${document.control_group}`]
    .filter(Boolean).join(", ");
}

/** What the document says, in few words; a document that is half typed says what it can. */
function brief(document) {
  const list = facts([
    ["Starts by", triggerWords(document.trigger)],
    ["Goes to", document.recipients ? `${document.recipients.length} recipients` : null],
    ["Audience", filterWords(document.audience) || null],
    ["Variants", variants(document)],
    ["At most", document.messages_per_minute
      ? `${count(document.messages_per_minute)} a minute` : null],
    ["Again for the same recipient", document.reeligible ?? "always"],
    ["Frequency cap", CAP(document.frequency_cap) || null],
    ["Quiet hours", QUIET(document.quiet_hours) || null],
    ["Stops after", document.stop_after ? count(document.stop_after) : null],
    ["Stops at", document.stop_at ? clock(document.stop_at) : null],
  ]);
  list.classList.add("rows");
  return list;
}

const HOSTS = [
  { label: "Host", cell: (row) => h("a", { href: link("hosts", row.host) }, row.host) },
  { label: "Deliveries", class: "number", cell: (row) => count(row.deliveries) },
  { label: "Wait already", class: "number", cell: (row) => count(row.waiting) },
  { label: "A second", class: "number", cell: (row) => rate(row.rate) },
  { label: "Done at", cell: (row) => clock(row.done_at) },
];

/** Counts what it would come to, on demand. */
function dryRun(campaign, signal) {
  const place = h("div", {});
  async function run() {
    try {
      const path = `${pathOf("campaigns", campaign.head.id)}/dry_run`;
      const found = await send("POST", path, {}, { signal });
      const skipped = Object.entries(found.skipped).map(([why, number]) =>
        `${count(number)} ${why.replaceAll("_", " ")}`);
      fill(place, h("p", {}, `${count(found.deliveries)} deliveries to ${count(found.recipients)} `
        + `${found.complete ? "" : "or more "}recipients`, skipped.length > 0
        ? `; nothing for ${skipped.join(", ")}.` : "."),
      found.hosts.length > 0 && table({ label: "What it comes to by host", columns: HOSTS,
        rows: found.hosts, key: (row) => row.host }).node,
      found.hosts[0] && h("p", { class: "hint" }, `It rests on ${found.hosts[0].basis}.`));
    } catch (error) {
      complain(error);
    }
  }
  return card("What it would come to", button("Count", run), place,
    h("p", { class: "hint" }, "Counts without sending, with what is saved."));
}

export default async function view(root, { params, signal }) {
  let shown = null;
  const left = h("div", { class: "span-7 stack" });
  const words = h("div", {});
  const campaign = new Composing("campaigns", params.id, {
    signal,
    changed: () => {
      tell();
      shown?.changed();
    },
  });
  function tell() {
    const { document } = campaign;
    if (document) fill(words, brief(document));
  }
  await campaign.open();
  shown = preview({ id: params.id, signal, document: () => campaign.editor,
    stored: (text) => campaign.stored(text) });
  tell();
  fill(left, campaign.card());
  fill(root, campaign.top, h("div", { class: "grid top" }, left, h("div", { class: "span-5 stack" },
    card("In short", null, words), campaign.head && dryRun(campaign, signal), shown.node)));
}
