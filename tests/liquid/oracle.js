// Renders what comes in as JSON lines on standard input, with liquidjs or (`oracle.js brazejs`)
// with brazejs: {"template", "data"} becomes {"output"}, {"refused": why} or {"aborted": reason}.
"use strict";
const readline = require("node:readline");
process.env.TZ = "UTC"; // what a time without an offset means must not depend on the machine

/** The roots as Hostline has them, under the names that Braze gives them. */
function named(data) {
  const recipient = data.recipient ?? {};
  const attributes = recipient.attributes ?? {};
  return {
    ...data,
    ...attributes,
    user_id: recipient.external_id,
    custom_attribute: attributes,
    api_trigger_properties: data.properties ?? {},
  };
}

function liquidjs() {
  const { Liquid } = require("liquidjs");
  const engine = new Liquid({ strictFilters: true, timezoneOffset: 0, ownPropertyOnly: true });
  return async ({ template, data }) => ({ output: await engine.parseAndRender(template, data) });
}

function brazejs() {
  const Liquid = require("brazejs").default;
  const engine = new Liquid({ strict_filters: true });
  return async ({ template, data }) => {
    let aborted;
    const template_ = engine.parse(template);
    const output = await engine.render(template_, named(data)).catch((error) => {
      if (error.name !== "AbortError") throw error;
      aborted = error.message;
    });
    return aborted === undefined ? { output } : { aborted };
  };
}

async function main() {
  const render = process.argv[2] === "brazejs" ? brazejs() : liquidjs();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let result;
    try {
      result = await render(JSON.parse(line));
    } catch (error) {
      result = { refused: String(error.message).split("\n")[0] };
    }
    process.stdout.write(JSON.stringify(result) + "\n");
  }
}

main();
