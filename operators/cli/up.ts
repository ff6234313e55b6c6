// Owns `onelane up`: everything in one process, with a database of its own where none is named.
import type { CommandSpec } from './command.ts';
import { announce } from './announce.ts';
import { OF_API, OF_CONSUMER, serve, SERVING } from './serve.ts';

export const up: CommandSpec = {
  name: 'up',
  summary: 'Run the API and a consumer in one process, on an embedded PostgreSQL unless DATABASE_URL is set',
  settings: [...SERVING, ...OF_API, ...OF_CONSUMER],
  examples: [
    'onelane up',
    'onelane up --config examples/bank/onelane.config.ts --http-port 8081',
    'DATABASE_URL=postgres://me@db/app onelane up',
  ],
  run: (given) =>
    serve(given, {
      parts: 'both',
      embedded: 'start',
      announce: (running) => {
        announce(given.output, 'Onelane is up.', running);
      },
    }),
};
