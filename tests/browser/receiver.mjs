// A receiver of a case's own: answers what it is told, request by request.

import { createServer } from "node:http";

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

/** Looks again and again until `look` answers something true. */
export async function until(look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`in vain: ${look}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
