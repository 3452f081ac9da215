// A receiver of a case's own: answers what it is told, request by request.

import { createServer } from "node:http";

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
  const close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return { host: `127.0.0.1:${server.address().port}`, close };
}

/** Asks again and again until `look` answers something true; the case's own patience bounds it. */
export async function until(look) {
  for (;;) {
    const found = await look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
}
