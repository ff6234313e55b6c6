// Owns `onelane api`: the HTTP API alone, for commands in and outcomes out.
import type { CommandSpec } from './command.ts';
import { announce } from './announce.ts';
import { OF_API, serve, SERVING } from './serve.ts';

export const api: CommandSpec = {
  name: 'api',
  summary: 'Run the HTTP API alone; consumers run elsewhere',
  settings: [...SERVING, ...OF_API],
  examples: ['onelane api', 'DATABASE_URL=postgres://me@db/app onelane api --http-port 8081'],
  run: (given) =>
    serve(given, {
      parts: 'api',
      embedded: 'find',
      announce: (running) => {
        announce(given.output, 'The API is up.', running);
      },
    }),
};
