// What a case has at hand: pages that are watched (no complaint in the console, no request to
// elsewhere), requests to the API, screenshots, and axe.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const { BASE_URL, MODULES, SHOTS } = process.env;
const require = createRequire(join(MODULES, "x.js"));
const axe = require.resolve("axe-core/axe.min.js");
const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 20_000);
const WIDE = { width: 1360, height: 900 };

/** A phone in the hand. */
export const PHONE = { width: 360, height: 740 };

export class World {
  constructor(browser, name) {
    Object.assign(this, { browser, name, contexts: [], pages: [], complaints: [], allowed: [] });
    /** What tests/outside/browser.rs has made ready: hosts by what they do, one that wants a key. */
    this.made = JSON.parse(process.env.WORLD ?? "{}");
    this.base = BASE_URL;
  }

  /** Lets complaints of the console that fit pass: those that a case provokes. */
  allow(pattern) {
    this.allowed.push(pattern);
  }

  /** A page at an address of the dashboard (`#/hosts`), once its heading is there. */
  async open(address = "#/", { base = this.base, theme = "light", size = WIDE, before } = {}) {
    const phone = size.width < 500;
    const context = await this.browser.newContext({
      viewport: size, colorScheme: theme, hasTouch: phone, isMobile: phone, reducedMotion: "reduce",
    });
    this.contexts.push(context);
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    this.pages.push(page);
    this.watch(page, base);
    await before?.(page);
    await page.goto(`${base}/${address}`);
    await page.locator("main h1").first().waitFor();
    return page;
  }

  watch(page, base) {
    const complain = (what) => {
      if (!this.allowed.some((pattern) => pattern.test(what))) this.complaints.push(what);
    };
    page.on("pageerror", (error) => complain(`error: ${error.stack}`));
    page.on("console", (message) => {
      const bad = ["error", "warning"].includes(message.type());
      if (bad) complain(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.protocol !== "blob:" && url.origin !== new URL(base).origin) {
        complain(`a request left the origin: ${request.url()}`);
      }
    });
  }

  /** A request to the API; answers the JSON. */
  async api(method, path, body, { base = this.base, headers = {} } = {}) {
    const answer = await fetch(base + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Sends `count` webhooks to a path of a host; answers the ids of the deliveries. */
  async trigger(host, path = "/hook", count = 1, more = {}) {
    const one = { webhook: { url: `http://${host}${path}`, body: { hello: "world" } }, ...more };
    const answers = await this.api("POST", "/v1/triggers/batch", Array(count).fill(one));
    const items = answers.results ?? answers.data ?? answers;
    return items.flatMap((item) => (item.deliveries ?? []).map((delivery) => delivery.id));
  }

  /** Keeps a picture of the page in the build's output. */
  async shot(page, name, options = {}) {
    await page.screenshot({ path: join(SHOTS, `${name}.png`), ...options });
  }

  /** Fails where axe finds what hinders somebody seriously. */
  async axe(page) {
    // Evaluated, not added as an element: the page's policy forbids foreign scripts.
    const { readFileSync } = await import("node:fs");
    await page.evaluate(readFileSync(axe, "utf8"));
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const bad = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    const told = bad.map(({ id, help, nodes }) =>
      `${id}: ${help}\n${nodes.slice(0, 4).map((node) => `  ${node.html}\n  ${node.failureSummary}`).join("\n")}`);
    assert.equal(told.join("\n"), "", `axe at ${page.url()}`);
  }

  /** Fails where the page can be scrolled sideways. */
  async fits(page) {
    const [wide, seen] = await page.evaluate(() =>
      [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(wide <= seen, `the page is ${wide} wide, the window ${seen}: ${page.url()}`);
  }

  /** What was last seen when a case failed. */
  async lastSight() {
    const name = this.name.replaceAll(/[^a-z0-9]+/gi, "-");
    for (const [place, page] of this.pages.entries()) {
      if (!page.isClosed()) await this.shot(page, `failed-${name}-${place}`).catch(() => {});
    }
  }

  async close() {
    for (const context of this.contexts) await context.close();
    this.contexts = [];
    assert.deepEqual(this.complaints, []);
  }
}
