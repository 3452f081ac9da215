// The preview beside an editor: each webhook of the document as it would go out with sample data, anew
// with each change, and a test of it that is really sent.

import { Written, may, send } from "../lib/api.js";
import { debounce, fill, h } from "../lib/dom.js";
import { button, card, link } from "../lib/parts.js";
import { complain, confirm } from "../lib/confirm.js";
import { answerView } from "./attempt.js";
import { editor } from "./editor.js";
import { slice } from "./json.js";
import { sampleOf, sources } from "./sample.js";
import { webhookView } from "./webhook.js";

const REST_MS = 350;
/** Webhooks of one document that are rendered as it is typed. */
const SHOWN = 10;
const SAMPLES = ["properties", "event_properties", "entry_properties", "recipient"];
/** What was typed as sample data, by document. */
const kept = new Map();

/** A request about one webhook of the document as it is typed, in its own words. */
function asked(text, pointer, sample, dryRun) {
  const webhook = slice(text, pointer);
  const { template, version } = JSON.parse(webhook);
  const what = template === undefined ? `"webhook":${webhook}`
    : `"template":${JSON.stringify(template)}${version ? `,"version":${version}` : ""}`;
  const given = SAMPLES.map((name) => [name, slice(sample, `/${name}`)])
    .filter(([, value]) => value !== undefined).map(([name, value]) => `,"${name}":${value}`);
  return new Written(`{${what}${given.join("")}${dryRun ? ',"dry_run":true' : ""}}`);
}

/**
 * A preview: `id` is that of the document, `document()` its editor, `stored(text)` the path under
 * which this very text is stored, or null. Answers `{node, changed()}`, which is to be called when the
 * document has changed.
 */
export function preview(options) {
  return new Preview(options);
}

class Preview {
  constructor({ id, document, stored, signal }) {
    this.id = id;
    this.stored = stored;
    this.document = document;
    this.signal = signal;
    this.turn = 0;
    this.place = h("div", { class: "previews", "aria-live": "polite" });
    this.guessed = this.guess();
    this.sample = editor({ label: "Sample data", value: kept.get(id) ?? this.guessed, rows: 14,
      changed: (text) => {
        kept.set(this.id, text);
        this.soon();
      } });
    this.soon = debounce(REST_MS, () => this.render());
    const again = button("Guess again", () => {
      kept.delete(this.id);
      this.sample.set((this.guessed = this.guess()));
      this.render();
    }, "quiet");
    this.node = card("Preview", null, this.place,
      h("details", { class: "fold", open: true }, h("summary", {}, "Sample data"), this.sample.node,
        again));
    this.render();
  }

  guess() {
    return JSON.stringify(sampleOf(this.document().text), null, 2);
  }

  changed() {
    // Until somebody writes sample data of their own it follows the document.
    if (this.sample.text === this.guessed) this.sample.set((this.guessed = this.guess()));
    this.soon();
  }

  async render() {
    const mine = (this.turn += 1);
    const { text, fault } = this.document();
    if (fault || this.sample.fault) return;
    const path = this.stored(text);
    if (!path && !may("triggers:write")) {
      fill(this.place, h("p", { class: "quiet" },
        "What is not saved is rendered only for keys that may send (triggers:write)."));
      return;
    }
    const all = sources(JSON.parse(text)).slice(0, SHOWN);
    const sample = this.sample.text;
    const results = path ? await this.whole(path, sample)
      : await Promise.all(all.map((source) => this.one(text, source, sample)));
    if (mine !== this.turn || this.signal.aborted) return;
    this.document().tell(results.flatMap((result) => result.faults ?? []));
    const none = h("p", { class: "quiet" }, "There is no webhook in this document.");
    fill(this.place, all.length === 0 ? none : all.map((source, place) =>
      this.result(source, results[place] ?? {}, text, sample)));
  }

  /** What each webhook of the document as it is stored comes to. */
  async whole(path, sample) {
    try {
      const body = new Written(sample);
      return (await send("POST", `${path}/preview`, body, { signal: this.signal })).webhooks;
    } catch (error) {
      return error.name === "AbortError" ? [] : [{ error: error.message }];
    }
  }

  /** What one webhook comes to: `{webhook}`, `{error}`, `{aborted}` or the document's `{faults}`. */
  async one(text, { pointer }, sample) {
    try {
      const body = asked(text, pointer, sample, true);
      const { request } = await send("POST", "/v1/webhooks/test", body, { signal: this.signal });
      return request;
    } catch (error) {
      if (error.name === "AbortError") return {};
      const faults = (error.errors ?? []).filter((fault) => fault.pointer?.startsWith("/webhook"));
      const own = faults.map((fault) => ({ ...fault, pointer: pointer + fault.pointer.slice(8) }));
      return { error: error.message, faults: own, at: own[0]?.pointer };
    }
  }

  result(source, result, text, sample) {
    const title = source.label && h("h3", {}, source.label);
    if (result.webhook) {
      const answer = h("div", {});
      const test = () => this.test(source, result.webhook, [text, sample], answer);
      return h("section", { class: "preview" }, title, webhookView(result.webhook),
        may("triggers:write") && button("Send a test…", test), answer);
    }
    if (result.aborted !== undefined) {
      return h("section", { class: "preview" }, title, h("div", { class: "notice" },
        h("p", {}, "Nothing would be sent: the template aborts itself."), h("p", {}, result.aborted)));
    }
    const place = /^(\/\S*): ([^]*)$/.exec(result.error ?? "");
    const pointer = result.at ?? (place ? source.pointer + place[1] : null);
    return h("section", { class: "preview" }, title, h("div", { class: "notice bad", role: "alert" },
      h("p", { class: "strong" }, "This cannot be rendered."),
      h("p", {}, pointer && [h("code", {}, pointer), " "], place ? place[2] : result.error),
      pointer && button("Go there", () => this.document().point(pointer), "quiet")));
  }

  async test(source, webhook, [text, sample], node) {
    const sure = await confirm({
      title: "Send this now?", action: "Send",
      text: `${webhook.method} ${webhook.url} is sent once, with the values of this preview.`,
    });
    if (!sure) return;
    fill(node, h("p", { class: "quiet", role: "status" }, "Waiting for the answer…"));
    try {
      const done = await send("POST", "/v1/webhooks/test", asked(text, source.pointer, sample, false),
        { signal: this.signal });
      fill(node, h("div", { class: "tested", role: "status" }, h("h3", {}, "Answer to the test"),
        done.attempt ? answerView(done.attempt)
          : h("p", {}, "It has not gone out yet: its host may not be called now."),
        done.delivery && h("p", {}, h("a", { href: link("deliveries", done.delivery) }, "The delivery"))));
    } catch (error) {
      fill(node);
      complain(error);
    }
  }
}
