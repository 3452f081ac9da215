// A receiver of a case's own: answers what it is told, request by request.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { isDeepStrictEqual } from "node:util";

const PATIENCE_MS = 60_000;

/**
 * Starts one. `answer(number, request)` says what the request of this number (from 1) gets:
 * `{status, headers, body}`. Answers `{host, close()}`.
 */
export async function receiver(answer) {
  let number = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      number += 1;
      const { status = 200, headers = {}, body = "" } = answer(number, request);
      response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
      response.end(body);
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  // A case that failed before it closed it does not keep the run from ending.
  server.unref();
  const close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return { host: `127.0.0.1:${server.address().port}`, close };
}

/** Looks again and again until `look` answers something true; past the patience `inVain` fails. */
export async function until(look, inVain = () => assert.fail(`in vain: ${look}`)) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) return inVain();
    await new Promise((done) => setTimeout(done, 50));
  }
}

/**
 * Reads again and again until it is what is wanted: a page that has said one thing may be about to
 * show the next.
 */
export async function comes(read, wanted) {
  let found;
  const look = async () => isDeepStrictEqual(found = await read(), wanted);
  await until(look, () => assert.deepEqual(found, wanted));
}
