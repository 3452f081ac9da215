// Sample data for a preview: a value for every variable that a document speaks of. Pure.

const DOTTED = /\b(properties|event_properties|entry_properties|recipient)\.([A-Za-z_]\w*)/g;
const BRAZE = /\b(\w+)\.\$\{([^}]+)\}/g;
const BARE = /(?<![.\w])\$\{([^}]+)\}/g;
const SPELLED = {
  api_trigger_properties: "properties", event_properties: "event_properties",
  canvas_entry_properties: "entry_properties", context: "entry_properties",
  custom_attribute: "recipient",
};
/** These are of the recipient or dispatch itself, no attributes. */
const OWN = ["user_id", "external_id", "dispatch_id"];

/** `{properties, event_properties, entry_properties, recipient}`, each only where it is used. */
export function sampleOf(text) {
  const sample = {};
  const attributes = {};
  const note = (root, name) => {
    if (root !== "recipient") (sample[root] ??= {})[name] ??= name;
    else if (!OWN.includes(name)) attributes[name] ??= name;
  };
  for (const [, root, name] of text.matchAll(DOTTED)) note(root, name);
  for (const [, root, name] of text.matchAll(BRAZE)) {
    if (SPELLED[root]) note(SPELLED[root], name);
  }
  for (const [, name] of text.matchAll(BARE)) note("recipient", name.trim());
  return { ...sample, recipient: { external_id: "user-1", attributes } };
}

/** The webhooks of a document: `{pointer, label}` each, with the pointer at which it stands. */
export function sources(document) {
  const list = (webhooks, pointer, label) => (webhooks ?? []).map((_, place) => ({
    pointer: `${pointer}/${place}`,
    label: [label, webhooks.length > 1 && `webhook ${place + 1}`].filter(Boolean).join(", "),
  }));
  if (document?.webhook) return [{ pointer: "/webhook", label: "" }];
  const variants = Array.isArray(document?.variants) ? document.variants : [];
  const webhooks = Array.isArray(document?.webhooks) ? document.webhooks : [];
  return [...list(webhooks, "/webhooks", ""), ...variants.flatMap((variant, place) =>
    list(Array.isArray(variant?.webhooks) ? variant.webhooks : [], `/variants/${place}/webhooks`,
      `variant ${variant?.name}`))];
}
