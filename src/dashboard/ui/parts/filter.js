// The filter of the list of deliveries: what it holds, how it stands in the address, in a query of the
// API and in the body of a redrive. Pure.

/** Every state, in the order of life. */
export const STATES = ["scheduled", "waiting", "in_flight", "delivered", "failed", "exhausted",
  "expired", "cancelled"];
export const DEAD = ["failed", "exhausted", "expired"];
const REDRIVEN = [...DEAD, "cancelled"];
const FIELDS = ["host", "campaign", "canvas", "template", "recipient", "trigger", "send_id", "from",
  "until"];
/** What `/v1/live` can narrow by as well. */
const LIVE = ["host", "campaign", "recipient"];

/** A filter out of the query of the address: `{states, metadata: {…}, host, …}`. */
export function read(query) {
  const filter = { states: [], metadata: {} };
  for (const [name, value] of query) {
    if (name === "state") filter.states = value.split(",").filter((one) => STATES.includes(one));
    else if (name.startsWith("metadata.")) filter.metadata[name.slice(9)] = value;
    else if (FIELDS.includes(name) && value) filter[name] = value;
  }
  return filter;
}

/** The query of the address and of the API. */
export function write(filter) {
  const query = new URLSearchParams();
  if (filter.states.length > 0) query.set("state", filter.states.join(","));
  for (const name of FIELDS) if (filter[name]) query.set(name, filter[name]);
  for (const [key, value] of Object.entries(filter.metadata)) query.set(`metadata.${key}`, value);
  return query;
}

/** What it narrows to, as `[field, key, text]`. */
export function terms(filter) {
  const fields = FIELDS.filter((name) => filter[name]).map((name) => [name, null,
    `${name.replace("_", " ")}: ${filter[name]}`]);
  const metadata = Object.entries(filter.metadata).map(([key, value]) =>
    ["metadata", key, `${key}=${value}`]);
  return [...fields, ...metadata];
}

/**
 * The filter in the body of `POST /v1/redrives`, or why there can be none: `{filter}` or `{why}`.
 */
export function redriveFilter(filter, action) {
  if (filter.trigger) return { why: "Take the trigger out of the filter first." };
  const { states } = filter;
  const taken = states.filter((state) => REDRIVEN.includes(state));
  if (action === "redrive" && states.length > 0 && taken.length < states.length) {
    return { why: "Only failed, exhausted, expired and cancelled deliveries are redriven." };
  }
  const owed = states.filter((state) => !REDRIVEN.includes(state) && state !== "delivered");
  if (action === "cancel" && states.length > 0
    && (owed.length < states.length || !owed.includes("scheduled") || !owed.includes("waiting"))) {
    return { why: "Choose scheduled and waiting, or no state: what is owed is cancelled." };
  }
  const body = Object.keys(filter.metadata).length > 0 ? { metadata: filter.metadata } : {};
  for (const name of FIELDS) if (filter[name]) body[name] = filter[name];
  if (states.length > 0) body.states = states.filter((state) => state !== "in_flight");
  return { filter: body };
}

/** The query of `/v1/live` for what ends under this filter; null where it cannot be so narrow. */
export function liveQuery(filter) {
  const other = FIELDS.filter((name) => !LIVE.includes(name) && filter[name]);
  if (other.length > 0 || Object.keys(filter.metadata).length > 0) return null;
  const ends = filter.states.filter((state) => STATES.indexOf(state) >= 3);
  if (filter.states.length > 0 && ends.length === 0) return null;
  const query = { deliveries: true, state: ends.join(",") };
  for (const name of LIVE) query[name] = filter[name] ?? "";
  return query;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What somebody may have meant who types this: `{id}`, `{field, key, value}`. */
export function meant(text) {
  const typed = text.trim();
  if (UUID.test(typed)) return { id: typed.toLowerCase() };
  const pair = /^([^=\s]+)=(.+)$/.exec(typed);
  if (pair) return { field: "metadata", key: pair[1].replace(/^metadata\./, ""), value: pair[2] };
  if (/^[^\s/]+(\.|:\d+$)/.test(typed) && !typed.includes("@")) return { field: "host", value: typed };
  return { field: "recipient", value: typed };
}
