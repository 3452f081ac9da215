// A webhook as a command of curl, quoted for a POSIX shell. Pure. What the server masks stays masked.

/** A word of a shell that stands for exactly this text. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** An empty value needs curl's own spelling, else the header is left out. */
const header = ([name, value]) => `-H ${quoted(value === "" ? `${name};` : `${name}: ${value}`)}`;

/**
 * The command for a webhook as `GET /v1/deliveries/{id}` shows it. `--globoff` keeps curl from reading
 * brackets of the URL; `--data-raw` keeps it from reading a body that begins with @ as a file's name.
 */
export function curl(webhook) {
  const parts = [`curl --globoff -X ${webhook.method} ${quoted(webhook.url)}`];
  parts.push(...webhook.headers.map(header));
  const text = webhook.body ?? "";
  const binary = webhook.body_base64 !== undefined || text.includes("\0");
  const sent = webhook.body_size > 0 || webhook.method === "POST" || webhook.method === "PUT";
  const typed = webhook.headers.some(([name]) => name.toLowerCase() === "content-type");
  // Else curl names a type of its own.
  if (sent && !typed) parts.push("-H 'content-type:'");
  if (sent && !binary) parts.push(`--data-raw ${quoted(text)}`);
  if (binary) parts.push("--data-binary @-");
  const command = parts.join(" \\\n  ");
  if (!binary) return command;
  const base64 = webhook.body_base64 ?? btoa(unescape(encodeURIComponent(text)));
  return `printf %s ${quoted(base64)} | base64 -d | ${command}`;
}

/** What whoever runs the command has to know. */
export function caveats(webhook) {
  const notes = [];
  if (webhook.headers.some(([, value]) => value === "***")) notes.push("put in the masked values");
  if (webhook.body_truncated) notes.push("the body is cut off");
  if (webhook.secret_ref) notes.push("it is not signed");
  return notes;
}
