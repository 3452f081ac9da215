// Requests to the API of the server that the page came from, and what they answer when they fail.

/** An answer that is no success: problem+json, or the nearest to it. */
export class Problem extends Error {
  constructor(status, body) {
    const place = body.errors?.[0]?.parameter ?? body.errors?.[0]?.pointer;
    const detail = body.detail ?? body.title ?? `The server answered ${status}.`;
    super(place ? `${place}: ${detail}` : detail);
    this.status = status;
    this.type = body.type ?? "about:blank";
    this.title = body.title ?? "";
    this.detail = body.detail ?? "";
    /** `[{pointer | parameter | header, detail}]`: the fields at fault. */
    this.errors = body.errors ?? [];
  }
}

/** Who is signed in, as `GET /v1/session` says it. */
export const session = { key: null, workspace: "default", scopes: [], csrf: null, version: "" };

/** Whether the session may do what needs `scope`; the server decides, this hides what it refuses. */
export function may(scope) {
  return session.scopes.includes("admin") || session.scopes.includes(scope);
}

async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // No JSON: the status has to do.
  }
  return new Problem(response.status, body);
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "No answer", detail: "The server cannot be reached." });
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 && !path.startsWith("/v1/session")) {
    document.dispatchEvent(new CustomEvent("signedout"));
  }
  throw problem;
}

/** JSON that goes as it was written, so that none of its numbers is read and written anew. */
export class Written {
  constructor(text) {
    this.text = text;
  }
}

const written = (body) => (body instanceof Written ? body.text : JSON.stringify(body));

async function bodyOf(response, raw) {
  if (response.status === 204) return null;
  if (raw) return response.text();
  const json = /\bjson\b/.test(response.headers.get("content-type") ?? "");
  return json ? response.json() : response.text();
}

/** GETs a path; answers the JSON, or the text of what is none (of all with `raw`). Throws `Problem`. */
export async function get(path, { signal, headers, raw } = {}) {
  const accept = { accept: "application/json", ...headers };
  return bodyOf(await request(path, { signal, headers: accept }), raw);
}

/** Sends a change; `body` goes as JSON where it is given (`Written` as it is). Throws `Problem`. */
export async function send(method, path, body, { signal, headers: extra, raw } = {}) {
  const headers = { accept: "application/json", ...extra };
  if (session.csrf) headers["x-csrf-token"] = session.csrf;
  if (body !== undefined) headers["content-type"] = "application/json";
  const text = body === undefined ? undefined : written(body);
  return bodyOf(await request(path, { method, body: text, headers, signal }), raw);
}

/** A path with its query: what is null, undefined, false or empty is left out. */
export function path(base, query = {}) {
  const absent = [null, undefined, false, ""];
  const pairs = Object.entries(query).filter(([, value]) => !absent.includes(value));
  return pairs.length ? `${base}?${new URLSearchParams(pairs)}` : base;
}
