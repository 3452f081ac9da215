// Server-sent events of `/v1/live`. A stream is closed while nobody looks at the page, and is opened
// again by itself after the server was away, each time a little later.

import { path } from "./api.js";

const FIRST_MS = 2000;
const LAST_MS = 60_000;
const HIDDEN_MS = 30_000;

function tell(state) {
  document.dispatchEvent(new CustomEvent("live", { detail: state }));
}

/**
 * Listens. `query` is that of `/v1/live`, as an object; `listeners` are called with the parsed data
 * of the events of their name (`stats`, `host`, `hosts`, `delivery`, `dropped`), and `state` with
 * "open", "waiting" or "off". Ends when `signal` aborts.
 */
export function subscribe(query, listeners, signal) {
  let source = null;
  let retry = FIRST_MS;
  let timer = 0;
  let hiding = 0;

  const say = (state) => {
    listeners.state?.(state);
    tell(state);
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const again = () => {
    close();
    say("waiting");
    timer = setTimeout(open, retry);
    retry = Math.min(retry * 2, LAST_MS);
  };
  const open = () => {
    if (source || signal.aborted) return;
    source = new EventSource(path("/v1/live", query));
    source.onopen = () => {
      retry = FIRST_MS;
      say("open");
    };
    // The browser tries again by itself only where the connection broke off.
    source.onerror = () => (source?.readyState === EventSource.CLOSED ? again() : say("waiting"));
    for (const [name, listener] of Object.entries(listeners)) {
      if (name === "state") continue;
      source.addEventListener(name, (event) => listener(JSON.parse(event.data)));
    }
  };
  const looked = () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
    else open();
  };

  document.addEventListener("visibilitychange", looked);
  signal.addEventListener("abort", () => {
    document.removeEventListener("visibilitychange", looked);
    clearTimeout(hiding);
    close();
    say("off");
  });
  open();
}
