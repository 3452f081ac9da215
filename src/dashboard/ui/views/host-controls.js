// What an operator can ask of a host: buttons that ask back before they do it, and its limits.

import { get, may, send } from "../lib/api.js";
import { ask, complain, confirm, toast } from "../lib/confirm.js";
import { clear, fill, h, text } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { button } from "../lib/parts.js";

const PROGRESS_MS = 1000;

/** Does something, says that it was done or why not, and has the host shown anew. */
async function doing(work, refresh) {
  try {
    const said = await work();
    if (said) toast(said);
    await refresh();
  } catch (error) {
    complain(error);
  }
}

const post = (name, what, body) =>
  send("POST", `/v1/hosts/${encodeURIComponent(name)}/${what}`, body);

async function pause(name) {
  const answer = await ask({
    title: `Pause ${name}?`,
    action: "Pause",
    text: "Nothing is sent to it until it is resumed. What is in flight finishes; new triggers are accepted.",
    fields: [
      { name: "reason", label: "Why (shown to others)", placeholder: "maintenance until noon" },
    ],
  });
  if (!answer) return null;
  await post(name, "pause", answer.reason ? { reason: answer.reason } : {});
  return `${name} is paused.`;
}

async function resume(name, host) {
  const waiting = host.waiting ? ` ${count(host.waiting)} deliveries wait for it.` : "";
  const yes = await confirm({
    title: `Resume ${name}?`,
    text: `Sending begins again.${waiting}`,
    action: "Resume",
  });
  if (!yes) return null;
  await post(name, "resume", {});
  return `${name} is resumed.`;
}

async function drain(name) {
  const yes = await confirm({
    title: `Drain ${name}?`,
    action: "Drain",
    text: "What is queued is delivered; new triggers for it are refused until it is resumed.",
  });
  if (!yes) return null;
  await post(name, "drain", {});
  return `${name} is draining.`;
}

async function purge(name, host) {
  const answer = await ask({
    title: `Purge ${name}?`,
    action: "Cancel them all",
    danger: true,
    text: `All that is owed to it (${count(host.waiting)} deliveries) is cancelled. This cannot be undone.`,
    fields: [{ name: "name", label: `Type ${name} to go on`, required: true }],
  });
  if (!answer) return null;
  if (answer.name.trim() !== name) {
    toast("The name was not the host's: nothing was cancelled.", "bad");
    return null;
  }
  const { purged } = await post(name, "purge", {});
  return `${count(purged)} deliveries to ${name} were cancelled.`;
}

/** Follows a redrive to its end. */
async function followed(id, signal) {
  let progress;
  do {
    await new Promise((done) => setTimeout(done, PROGRESS_MS));
    progress = await get(`/v1/redrives/${encodeURIComponent(id)}`, { signal });
  } while (progress.state === "running");
  return progress;
}

async function redrive(name, signal) {
  const wanted = { action: "redrive", filter: { host: name } };
  const counted = await send("POST", "/v1/redrives", { ...wanted, dry_run: true });
  if (counted.matched === 0) return `${name} has no dead letters.`;
  const more = counted.counted_to_the_end === false ? " or more" : "";
  const yes = await confirm({
    title: `Redrive dead letters of ${name}?`,
    action: "Redrive",
    text:
      `${count(counted.matched)}${more} deliveries that failed, were exhausted or expired are sent again, ` +
      "at the pace the host allows.",
  });
  if (!yes) return null;
  const { id } = await send("POST", "/v1/redrives", wanted);
  const { done, state } = await followed(id, signal);
  return state === "done"
    ? `${count(done)} deliveries to ${name} go out again.`
    : `The redrive ${state} after ${count(done)} deliveries.`;
}

/** Answers a function of the host as it is now, which makes the buttons that fit. */
export function actions(name, session, refresh, signal) {
  const operates = session.workspace === "default" && may("hosts:write");
  const act = (label, work, kind = "") => button(label, () => doing(work, refresh), kind);
  return (host) => {
    const { paused, draining } = host.controls ?? {};
    const held = paused || draining;
    return [
      operates && held && act("Resume", () => resume(name, host), "primary"),
      operates && !paused && act("Pause", () => pause(name)),
      operates && !draining && act("Drain", () => drain(name)),
      may("deliveries:write") && act("Redrive", () => redrive(name, signal)),
      operates && act("Purge", () => purge(name, host), "danger"),
    ];
  };
}

const FIELDS = [
  ["requests_per_second", "Requests a second", "any"],
  ["burst", "Burst", "1"],
  ["in_flight", "In flight", "1"],
];

function limit([field, label, step]) {
  const fault = h("p", { class: "error", id: `limit-${field}-error` });
  const input = h("input", {
    id: `limit-${field}`,
    name: field,
    type: "number",
    min: 0,
    step,
    placeholder: "as configured",
    "aria-describedby": fault.id,
  });
  const node = h("div", { class: "field" }, h("label", { for: input.id }, label), input, fault);
  return { field, input, fault, node };
}

/** The form of limits in `node`; answers a function that shows those of a host. */
export function limits(node, name, session, refresh) {
  const operates = session.workspace === "default" && may("hosts:write");
  const fields = FIELDS.map(limit);
  const form = h(
    "form",
    { class: "limits" },
    h(
      "div",
      { class: "fields" },
      fields.map((one) => one.node),
      operates && h("button", { class: "button" }, "Set limits"),
    ),
    h(
      "p",
      { class: "hint" },
      "Set here they win over the settings; an empty field goes back to them. " +
        "The host's own limits hold besides.",
    ),
  );
  for (const { input } of fields) input.disabled = !operates;
  form.addEventListener("input", () => {
    form.dataset.edited = "yes";
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const { fault, input } of fields) {
      clear(fault);
      input.removeAttribute("aria-invalid");
    }
    const wanted = fields.map(({ field, input }) => [
      field,
      input.value === "" ? null : Number(input.value),
    ]);
    try {
      await send("PATCH", `/v1/hosts/${encodeURIComponent(name)}`, {
        limits: Object.fromEntries(wanted),
      });
      delete form.dataset.edited;
      toast(`The limits of ${name} are set.`);
      await refresh();
    } catch (error) {
      blame(fields, error);
    }
  });
  fill(node, form);
  return (host) => {
    if (form.dataset.edited) return;
    const own = host.controls?.policy?.limits ?? {};
    for (const { field, input } of fields) input.value = own[field] ?? "";
  };
}

/** Puts each fault beside the field that it is about, and the rest into the corner. */
function blame(fields, error) {
  const placed = (error.errors ?? []).filter(({ pointer, detail }) => {
    const one = fields.find(({ field }) => pointer === `/limits/${field}`);
    if (!one) return false;
    text(one.fault, detail);
    one.input.setAttribute("aria-invalid", "true");
    one.input.focus();
    return true;
  });
  if (placed.length === 0) complain(error);
}
