// Runs the cases of `cases/*.mjs` in a headless chromium against a server that
// tests/outside/browser.rs has started. A file of cases exports an object of them: its keys say what
// is claimed, its functions get the `World`. Names of files as arguments run these alone. A case that
// fails is played once more, and both are told: a browser on a busy machine has moments of its own.
// Exits with 1 where a case fails twice.

import { mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { World } from "./world.mjs";

const { MODULES, SHOTS } = process.env;
const { chromium } = createRequire(join(MODULES, "x.js"))("playwright-core");
const folder = new URL("cases/", import.meta.url);
const PATIENCE_MS = 120_000;

function inTime(work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`took longer than ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function play(browser, file, name, work) {
  const world = new World(browser, `${basename(file, ".mjs")}: ${name}`);
  const began = Date.now();
  try {
    await inTime(work(world));
    await world.close();
    console.log(`ok      ${world.name} (${Date.now() - began} ms)`);
    return true;
  } catch (error) {
    await world.lastSight();
    console.log(`FAILED  ${world.name}\n${error.stack}\n${world.complaints.join("\n")}`);
    await world.close().catch(() => {});
    return false;
  }
}

async function main() {
  mkdirSync(SHOTS, { recursive: true });
  const wanted = process.argv.slice(2);
  const files = readdirSync(folder).filter((file) => file.endsWith(".mjs")).sort();
  const chosen = files.filter((file) => !wanted.length || wanted.includes(basename(file, ".mjs")));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  let failed = 0;
  for (const file of chosen) {
    const { default: cases } = await import(new URL(file, folder));
    for (const [name, work] of Object.entries(cases)) {
      const good = await play(browser, file, name, work) || await play(browser, file, name, work);
      failed += good ? 0 : 1;
    }
  }
  await browser.close();
  console.log(failed ? `${failed} failed` : "all passed");
  // What a failed case left running holds nothing up.
  process.exit(failed ? 1 : 0);
}

await main();
