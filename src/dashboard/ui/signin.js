// Signing in with an API key. The server keeps it in a cookie that scripts cannot read; nothing of
// it stays in the page.

import { send, session } from "./lib/api.js";
import { fill, h, text } from "./lib/dom.js";

const PLAIN = { 401: "This key is not known here, has expired, or was revoked." };

/** Shows the form in `root`; calls `done` once a key was taken. */
export function signin(root, done) {
  const error = h("p", { class: "error", id: "key-error", role: "alert" });
  const input = h("input", {
    id: "key",
    name: "key",
    type: "password",
    required: true,
    autocomplete: "current-password",
    spellcheck: "false",
    "aria-describedby": "key-hint key-error",
  });
  const submit = h("button", { class: "button primary" }, "Sign in");
  const form = h(
    "form",
    { class: "card signin" },
    h("h1", {}, "Sign in to Hostline"),
    h(
      "div",
      { class: "field" },
      h("label", { for: "key" }, "API key"),
      input,
      error,
      h(
        "p",
        { class: "hint", id: "key-hint" },
        "Made by ",
        h("code", {}, "hostline keys create"),
        ". It is kept in a cookie that this page cannot read.",
      ),
    ),
    submit,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    text(error, "");
    input.removeAttribute("aria-invalid");
    try {
      Object.assign(session, await send("POST", "/v1/session", { key: input.value.trim() }));
      input.value = "";
      fill(root);
      await done();
    } catch (problem) {
      text(error, PLAIN[problem.status] ?? problem.message);
      input.setAttribute("aria-invalid", "true");
      input.select();
    } finally {
      submit.disabled = false;
    }
  });
  root.className = "view-signin";
  fill(root, form);
  document.title = "Sign in · Hostline";
  input.focus();
}
