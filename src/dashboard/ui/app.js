// The page: finds out who is signed in, shows the frame, and puts the view of the address into it.

import { get, session } from "./lib/api.js";
import { clear, fill, h, text } from "./lib/dom.js";
import { empty } from "./lib/parts.js";
import { frame, mark } from "./frame.js";
import { signin } from "./signin.js";

/** Patterns of addresses, the module of each view, and the part of the frame that is lit. */
const ROUTES = [
  ["", "overview", "overview"],
  ["hosts", "hosts", "hosts"],
  ["hosts/:host", "host", "hosts"],
  ["deliveries", "deliveries", "deliveries"],
  ["deliveries/:id", "delivery", "deliveries"],
  ["activity", "activity", "activity"],
  ["compose", "compose", "compose"],
  ["compose/templates/:id", "template", "compose"],
  ["compose/campaigns/:id", "campaign", "compose"],
  ["compose/canvases/:id", "canvas", "compose"],
  ["reports", "reports", "reports"],
];

const root = document.getElementById("main");
let leaving = new AbortController();
let shown = null;

/** What an address asks for: `{view, section, params, query}`, or null where it is none of ours. */
function find(hash) {
  const [path, search] = hash.replace(/^#?\/?/, "").split("?");
  const segments = path.split("/").filter(Boolean);
  for (const [pattern, view, section] of ROUTES) {
    const wanted = pattern.split("/").filter(Boolean);
    const fits =
      wanted.length === segments.length &&
      wanted.every((part, place) => part.startsWith(":") || part === segments[place]);
    if (!fits) continue;
    const params = {};
    wanted.forEach((part, place) => {
      if (part.startsWith(":")) params[part.slice(1)] = decodeURIComponent(segments[place]);
    });
    return { view, section, params, path, query: new URLSearchParams(search ?? "") };
  }
  return null;
}

function lost() {
  fill(
    root,
    empty("There is nothing at this address.", h("a", { href: "#/" }, "Go to the overview")),
  );
}

/** Tells a change of view to who looks and to who listens, and puts the focus at its start. */
function arrive(first) {
  const title = root.querySelector("h1");
  document.title = title ? `${title.textContent} · Hostline` : "Hostline";
  if (first) return;
  scrollTo(0, 0);
  (title ?? root).focus({ preventScroll: true });
  text(document.getElementById("said"), title?.textContent ?? "");
}

async function route() {
  const first = shown === null;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const found = find(location.hash);
  mark(found?.section);
  shown = found?.path ?? "";
  if (!found) return lost();
  try {
    const module = await import(`./views/${found.view}.js`);
    if (signal.aborted) return undefined;
    clear(root).className = `view-${found.view}`;
    await module.default(root, { params: found.params, query: found.query, session, signal });
    if (signal.aborted) return undefined;
    arrive(first);
    performance.mark("shown");
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return undefined;
    fill(
      root,
      empty(
        error.status === 404 ? "This is not there (any more)." : "This cannot be shown.",
        h("p", { class: "fault", role: "alert" }, error.message),
        h("button", { type: "button", class: "button", onclick: route }, "Try again"),
      ),
    );
  }
  return undefined;
}

async function start() {
  try {
    Object.assign(session, await get("/v1/session"));
  } catch (error) {
    if (error.status === 401) return signin(root, start);
    // A server without sessions: whatever it allows.
    if (error.status !== 404) {
      return fill(
        root,
        empty(
          "The server does not answer.",
          h("p", { class: "fault", role: "alert" }, error.message),
          h("button", { type: "button", class: "button", onclick: start }, "Try again"),
        ),
      );
    }
    session.scopes = ["admin"];
  }
  frame(document.getElementById("frame"));
  return route();
}

// An address within a view (the skip link) is no other view.
addEventListener("hashchange", () => (/^#?(\/|$)/.test(location.hash) ? route() : undefined));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  root.focus();
});
document.addEventListener("signedout", () => {
  leaving.abort();
  clear(document.getElementById("frame"));
  signin(root, start);
});
start();
