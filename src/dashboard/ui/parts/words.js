// What the parts of a composition are about, in few words. Pure.

const OPS = {
  equals: "=", not_equals: "≠", greater: ">", at_least: "≥", less: "<", at_most: "≤",
  contains: "contains", not_contains: "does not contain", exists: "is there",
  not_exists: "is not there", in: "is one of", not_in: "is none of", before: "is before",
  after: "is after",
};

/** A filter: `response.status = 200 and recipient.plan is one of pro, team`. */
export function filterWords(filter) {
  if (!filter) return "";
  const inner = (one) => (one.all || one.any ? `(${filterWords(one)})` : filterWords(one));
  if (filter.all) return filter.all.map(inner).join(" and ");
  if (filter.any) return filter.any.map(inner).join(" or ");
  if (filter.not) return `not ${inner(filter.not)}`;
  const value = Array.isArray(filter.value) ? filter.value.join(", ") : filter.value ?? "";
  return `${filter.property} ${OPS[filter.op] ?? filter.op} ${value}`.trim();
}

/** What starts a campaign or lets into a canvas. */
export function triggerWords(trigger) {
  if (!trigger || trigger.type === "api") return "a call of the API";
  if (trigger.type === "event") {
    const when = filterWords(trigger.filter);
    return `the event ${trigger.event}${when && `, when ${when}`}`;
  }
  if (trigger.at) return `once, at ${trigger.at}`;
  return `${trigger.cron} (${trigger.time_zone ?? "UTC"})`;
}

/** One webhook of a campaign or step; `name(id)` tells the name of a template. */
export function webhookWords(webhook, name = (id) => id) {
  if (!webhook.template) return `${webhook.method ?? "POST"} ${webhook.url}`;
  return `${name(webhook.template)}${webhook.version ? `, version ${webhook.version}` : ""}`;
}

/** What a step of a canvas does, in one line. */
export function stepWords(step, name) {
  const webhooks = step.webhooks ?? [];
  if (step.type === "webhook") {
    return webhooks.length === 1 ? webhookWords(webhooks[0], name)
      : `${webhooks.length} webhooks at once`;
  }
  if (step.type === "delay") return step.for ? `for ${step.for}` : `until ${step.until}`;
  if (step.type === "branch") {
    return step.branches.length === 1 ? "1 condition" : `${step.branches.length} conditions`;
  }
  if (step.type === "wait_for_event") return `${step.event}, at most ${step.timeout}`;
  return "the journey ends";
}

/** The ways out of each step: `{from, to, label}`; `to` is "" where the journey ends by itself. */
export function ways(steps) {
  const all = [];
  steps.forEach((step, place) => {
    const following = steps[place + 1]?.id ?? "";
    const go = (to, label = "") => all.push({ from: step.id, to: to ?? following, label });
    if (step.type === "exit") return;
    if (step.type === "branch") {
      for (const branch of step.branches) go(branch.next, filterWords(branch.when));
      go(step.else, "else");
    } else if (step.type === "wait_for_event") {
      go(step.on_event ?? step.next, step.event);
      go(step.on_timeout ?? step.next, `after ${step.timeout}`);
    } else {
      go(step.next);
    }
  });
  return all;
}
