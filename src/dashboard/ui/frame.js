// What stands around every view: the name, where one can go, search, theme, who is signed in, keys.

import { send, session } from "./lib/api.js";
import { complain } from "./lib/confirm.js";
import { fill, h, svg, text } from "./lib/dom.js";
import { link } from "./lib/parts.js";

/** The sections: key of the shortcut `g …`, name, word. */
const SECTIONS = [
  ["o", "overview", "Overview", "#/"],
  ["h", "hosts", "Hosts", "#/hosts"],
  ["d", "deliveries", "Deliveries", "#/deliveries"],
  ["a", "activity", "Activity", "#/activity"],
  ["c", "compose", "Compose", "#/compose"],
  ["r", "reports", "Reports", "#/reports"],
];
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const GO_MS = 1200;

const icon = (...paths) =>
  svg(
    "svg",
    {
      viewBox: "0 0 20 20",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.7,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
      "aria-hidden": "true",
    },
    paths.map((d) => svg("path", { d })),
  );

function stored(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch {
    // Storage may be forbidden; then nothing is remembered.
  }
  return null;
}

function themed() {
  const { theme } = document.documentElement.dataset;
  return theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function turn() {
  const next = themed() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  stored("theme", next);
  document.dispatchEvent(new CustomEvent("themed"));
}

/** Where a search leads: an id is a delivery, all else a part of a host's name. */
function search(words) {
  if (!words) return;
  location.hash = ID.test(words)
    ? link("deliveries", words)
    : `#/hosts?${new URLSearchParams({ q: words })}`;
}

function searching() {
  const input = h("input", {
    type: "search",
    name: "q",
    id: "search",
    placeholder: "Host or delivery id",
    "aria-label": "Search hosts, or a delivery by id",
    autocomplete: "off",
    spellcheck: "false",
  });
  const form = h(
    "form",
    { role: "search" },
    input,
    h("kbd", { class: "hint-key", "aria-hidden": "true" }, "/"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search(input.value.trim());
    input.value = "";
  });
  return form;
}

async function leave() {
  try {
    await send("DELETE", "/v1/session");
    document.dispatchEvent(new CustomEvent("signedout"));
  } catch (error) {
    complain(error);
  }
}

const MOON = "M10 3a7 7 0 1 0 7 7a5.2 5.2 0 0 1-7-7z";
const QUESTION = ["M7.6 7.4a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.2 1-1.2 1.9", "M10 14.6v.1"];
const HOST = ["M2.5 10h4M13.5 10h4M10 2.5v4M10 13.5v4", "M10 7a3 3 0 1 0 0 6a3 3 0 1 0 0-6"];

const tool = (label, key, onclick, drawing) =>
  h(
    "button",
    { type: "button", class: "icon", "aria-label": label, title: `${label} (${key})`, onclick },
    drawing,
  );

/** Shows the frame in `node`. */
export function frame(node) {
  const places = SECTIONS.map(([key, name, label, href]) =>
    h(
      "li",
      {},
      h("a", { href, dataset: { section: name }, "aria-keyshortcuts": `g ${key}` }, label),
    ),
  );
  const out =
    session.key &&
    h(
      "button",
      {
        type: "button",
        class: "button quiet",
        id: "signout",
        onclick: leave,
        title: `Signed in with the key ${session.key.name ?? session.key.id}`,
      },
      "Sign out",
    );
  const tools = h(
    "div",
    { class: "frame-tools" },
    searching(),
    h("span", { class: "beat", id: "beat", hidden: true, title: "Live figures" }),
    tool("Dark or light", "t", turn, icon(MOON)),
    tool("Keyboard shortcuts", "?", keys, icon(...QUESTION)),
    out,
  );
  const brand = h(
    "a",
    { class: "brand", href: "#/", "aria-label": "Hostline", title: `Hostline ${session.version}` },
    icon(...HOST),
    h("span", {}, "Hostline"),
  );
  fill(
    node,
    h(
      "header",
      { class: "frame-top" },
      brand,
      h("nav", { "aria-label": "Sections" }, h("ul", {}, places)),
      tools,
    ),
  );
}

/** Lights the section that is shown. */
export function mark(section) {
  for (const place of document.querySelectorAll("[data-section]")) {
    if (place.dataset.section === section) place.setAttribute("aria-current", "page");
    else place.removeAttribute("aria-current");
  }
  const lit = document.querySelector("[data-section][aria-current]");
  lit?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const BEATS = { open: "Live", waiting: "Waiting", off: "" };
document.addEventListener("live", ({ detail }) => {
  const beat = document.getElementById("beat");
  if (!beat) return;
  beat.className = `beat ${detail}`;
  beat.hidden = detail === "off";
  text(beat, BEATS[detail]);
});

/** The dialog of shortcuts. */
function keys() {
  if (document.querySelector("dialog[open]")) return;
  const key = (names, what) => [
    h(
      "span",
      {},
      names.map((name) => [h("kbd", {}, name), " "]),
    ),
    h("span", {}, what),
  ];
  const on = h("input", { type: "checkbox", id: "keys-on", checked: stored("keys") !== "off" });
  on.addEventListener("change", () => stored("keys", on.checked ? "on" : "off"));
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keyboard"),
    h(
      "div",
      { class: "keys" },
      SECTIONS.map(([letter, , label]) => key(["g", letter], label)),
      key(["/"], "Search"),
      key(["j", "k"], "Next and previous row of a table (or arrows)"),
      key(["Enter"], "Open the row"),
      key(["t"], "Dark or light"),
      key(["?"], "This dialog"),
    ),
    h("label", { class: "keys-on" }, on, " Shortcuts of a single key"),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Close"),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

/** Puts the focus into the search of the view, or into that of the frame. */
function find() {
  const own = document.querySelector("main [data-search]");
  (own ?? document.getElementById("search")).focus();
}

let going = 0;

function shortcut(event) {
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || !document.querySelector(".frame-top")) return;
  if (stored("keys") === "off" && event.key !== "?") return;
  const gone = event.timeStamp - going < GO_MS;
  going = event.key === "g" ? event.timeStamp : 0;
  const place = gone && SECTIONS.find(([key]) => key === event.key);
  if (place) location.hash = place[3];
  else if (event.key === "/") find();
  else if (event.key === "?") keys();
  else if (event.key === "t") turn();
  else if (event.key === "j" && event.target === document.body) {
    document.querySelector("main .virtual, main table a[href]")?.focus();
  } else return;
  event.preventDefault();
}

document.addEventListener("keydown", shortcut);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  document.dispatchEvent(new CustomEvent("themed")),
);
