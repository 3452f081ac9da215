// express-rate-limit, a server for each of its header dialects. Arguments: DIALECT:PORT …
// A fixed window that begins with the first request after the last one has ended.
'use strict';

const express = require('express');
const { rateLimit } = require('express-rate-limit');

for (const argument of process.argv.slice(2)) {
  const [dialect, port] = argument.split(':');
  const app = express();
  app.use(rateLimit({
    windowMs: 10_000,
    limit: 200,
    legacyHeaders: dialect === 'legacy',
    standardHeaders: dialect === 'legacy' ? false : dialect,
    keyGenerator: () => 'everyone',
  }));
  app.use((_request, response) => response.send('ok'));
  const server = app.listen(Number(port), '127.0.0.1');
  server.keepAliveTimeout = 60_000;
}
