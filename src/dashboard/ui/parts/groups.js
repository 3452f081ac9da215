// Errors of the activity log grouped by host, status and kind: by the server, or from the newest
// entries where only some of them are wanted.

import { get, path } from "../lib/api.js";

/** Entries that are looked through where the server does not group. */
const LOOKED = 1000;
const PAGE = 200;

export const keyOf = (group) => [group.host, group.status, group.kind].join("|");

/** Puts entries, newest first, together. Pure. */
export function grouped(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const key = keyOf(entry);
    const group = groups.get(key);
    if (!group) {
      groups.set(key, { host: entry.host, status: entry.status, kind: entry.kind, count: 1,
        first_at: entry.at, last_at: entry.at, last_delivery: entry.delivery,
        sample_detail: entry.detail, meaning: entry.meaning, steps: entry.steps });
    } else {
      group.count += 1;
      group.first_at = entry.at;
    }
  }
  return [...groups.values()];
}

async function newest({ from, subject }, signal) {
  const entries = [];
  let after = null;
  do {
    const page = await get(path("/v1/activity", { limit: PAGE, after, from, subject }), { signal });
    entries.push(...page.data);
    after = page.next;
  } while (after && entries.length < LOOKED);
  return { groups: grouped(entries), looked: after ? entries.length : null };
}

/**
 * The groups since `from`; of one campaign where `subject` names it. `looked` is the number of newest
 * entries that they were made from, null where they are of all.
 */
export async function groups({ from, subject }, signal) {
  if (subject) return newest({ from, subject }, signal);
  const { data } = await get(path("/v1/activity/groups", { from }), { signal });
  return { groups: data, looked: null };
}
