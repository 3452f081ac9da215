// Templates, campaigns and canvases.

import assert from "node:assert/strict";
import { PHONE } from "../world.mjs";
import { comes, receiver, until } from "../receiver.mjs";

let serial = 0;
const unique = (name) => `${name} ${process.pid} ${(serial += 1)}`;
const template = (world, name, host) => world.api("POST", "/v1/templates", { name, webhook: {
  url: `http://${host}/people/{{ \${user_id} | url_param_escape }}`,
  headers: { authorization: "Bearer top-secret" },
  body: { text: "Hello {{ ${first_name} | default: 'friend' }}", n: "{{ properties.n }}" } } });

/** A canvas with a branch, a wait and a delay. */
const steps = (host) => [
  { id: "hello", type: "webhook", webhooks: [{ url: `http://${host}/hello`, body: {} }] },
  { id: "took it?", type: "branch", else: "out", branches: [
    { when: { property: "response.status", op: "equals", value: 200 }, next: "wait" }] },
  { id: "wait", type: "wait_for_event", event: "bought", timeout: "3d", on_event: "thanks",
    on_timeout: "remind" },
  { id: "thanks", type: "webhook", webhooks: [{ url: `http://${host}/thanks`, body: {} }], next: "out" },
  { id: "remind", type: "webhook", webhooks: [{ url: `http://${host}/remind`, body: {} }] },
  { id: "rest", type: "delay", for: "2h", next: "hello" },
  { id: "out", type: "exit" },
];

export default {
  "a template's preview follows what is typed, and tells a fault of Liquid": async (world) => {
    // A template that cannot be compiled is refused, and the console says so.
    world.allow(/status of 400/);
    const place = await receiver(() => ({ body: "taken" }));
    const { id } = await template(world, unique("welcome"), place.host);
    const page = await world.open(`#/compose/templates/${id}`);
    const shown = page.locator(".previews");
    await shown.getByText("Hello first_name").waitFor();
    await shown.getByText("***").waitFor();
    const sheet = page.getByLabel("Document of the template");
    const text = await sheet.inputValue();
    await world.axe(page);
    await world.shot(page, "template-light", { fullPage: true });
    await sheet.fill(text.replace("Hello", "Good morning"));
    await shown.getByText("Good morning first_name").waitFor();
    await sheet.fill(text.replace("| default", "| defaults"));
    await shown.getByText(/line 1 column \d+: `defaults` is no filter/).waitFor();
    await page.locator(".faults").getByText("/webhook/body/text").waitFor();
    await world.axe(page);
    await world.shot(page, "template-fault-light");
    await sheet.fill(text.slice(0, -3));
    await page.locator(".faults").getByText(/missing/).first().waitFor();
    await comes(() => page.getByRole("button", { name: "Save as a new version" }).isDisabled(), true);
    await sheet.fill(text.replace("Hello", "Servus"));
    await page.getByRole("button", { name: "Save as a new version" }).click();
    await page.getByText("Saved as version 2.").waitFor();
    const saved = await world.api("GET", `/v1/templates/${id}`);
    assert.match(saved.document.webhook.body.text, /^Servus/);
    await page.getByRole("button", { name: "Send a test…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Send" }).click();
    await page.locator(".tested").getByText("taken", { exact: true }).waitFor();
    await page.locator(".tested .waterfall").getByText("First byte").waitFor();
    await place.close();
  },

  "what the server refuses is told at its field": async (world) => {
    world.allow(/status of 400/);
    const { id } = await template(world, unique("refused"), world.made.hosts.good);
    const page = await world.open(`#/compose/templates/${id}`);
    const sheet = page.getByLabel("Document of the template");
    await sheet.fill((await sheet.inputValue()).replace('"webhook": {', '"webhook": {\n    "method": "PATCH",'));
    await page.getByRole("button", { name: "Save as a new version" }).click();
    await page.getByText("This was not saved.").waitFor();
    await page.locator(".faults").getByText("/webhook/method").waitFor();
    await comes(() => page.locator(".gutter .bad").count(), 1);
  },

  "a campaign is launched, paused and counted": async (world) => {
    const name = unique("news");
    const { id } = await world.api("POST", "/v1/campaigns", { name, trigger: { type: "api" }, variants: [
      { name: "A", weight: 50, webhooks: [{ url: `http://${world.made.hosts.good}/a`, body: {} }] },
      { name: "B", weight: 50, webhooks: [{ url: `http://${world.made.hosts.good}/b`, body: {} }] }] });
    const page = await world.open(`#/compose/campaigns/${id}`);
    await page.getByText("A 50, B 50").waitFor();
    await comes(() => page.locator(".preview").count(), 2);
    await page.getByRole("button", { name: "Launch…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Launch" }).click();
    await page.locator(".heading .s-live").waitFor();
    await page.getByRole("button", { name: "Count", exact: true }).click();
    await page.getByText(/deliveries to \d+ recipients/).waitFor();
    await world.axe(page);
    await world.shot(page, "campaign-light", { fullPage: true });
    await page.getByRole("button", { name: "Pause…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
    await page.locator(".heading .s-paused").waitFor();
    const list = await world.open("#/compose", { theme: "dark" });
    await list.getByRole("link", { name }).waitFor();
    await world.axe(list);
    await world.shot(list, "compose-dark");
  },

  "a canvas is drawn with all its steps, ways and counts": async (world) => {
    const place = await receiver(() => ({}));
    const name = unique("onboarding");
    const event = unique("signed up");
    const { id } = await world.api("POST", "/v1/canvases",
      { name, trigger: { type: "event", event }, steps: steps(place.host) });
    await world.api("POST", `/v1/canvases/${id}/launch`);
    await world.api("POST", "/v1/events", { external_id: "u1", name: event });
    await until(async () => {
      const { total } = await world.api("GET", `/v1/canvases/${id}/report`);
      return (total.counts ?? total).delivered === 1;
    });
    const page = await world.open(`#/compose/canvases/${id}`);
    const drawing = page.getByRole("group", { name: `The canvas ${name}` });
    const nodes = drawing.getByRole("button");
    await nodes.filter({ hasText: "1 sent · 1 delivered" }).waitFor();
    // The steps and the entry.
    await comes(() => nodes.count(), steps("").length + 1);
    for (const { id: step } of steps("")) await nodes.filter({ hasText: step }).first().waitFor();
    // Entry, hello, two of the branch, two of the wait, thanks, remind, the way back from the delay.
    await comes(() => drawing.locator(".edge").count(), 9);
    await comes(() => drawing.locator(".edge.back").count(), 1);
    for (const label of ["response.status = 200", "else", "bought", "after 3d"]) {
      await drawing.locator(".edge-label").filter({ hasText: label }).first().waitFor();
    }
    // The drawing is one stop of the Tab key; arrows lead through it.
    await nodes.first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Show it in the document" }).waitFor();
    await world.axe(page);
    await world.shot(page, "canvas-light", { fullPage: true });
    const dark = await world.open(`#/compose/canvases/${id}`, { theme: "dark" });
    await dark.locator(".node").first().waitFor();
    await world.shot(dark, "canvas-dark", { fullPage: true });
    const phone = await world.open(`#/compose/canvases/${id}`, { size: PHONE });
    await phone.locator(".node").first().waitFor();
    await world.fits(phone);
    await place.close();
  },

  "a new template is written and stored": async (world) => {
    const page = await world.open("#/compose/templates/new");
    const sheet = page.getByLabel("Document of the template");
    const name = unique("written here");
    await sheet.fill((await sheet.inputValue()).replace("My template", name));
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { level: 1, name }).waitFor();
  },
};
