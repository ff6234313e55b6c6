// Owns `onelane consumer`: lanes alone; as many of these as you like share the partitions.
import type { CommandSpec } from './command.ts';
import { announce } from './announce.ts';
import { OF_CONSUMER, serve, SERVING } from './serve.ts';

export const consumer: CommandSpec = {
  name: 'consumer',
  summary: 'Run a consumer alone; consumers share the partitions among themselves',
  settings: [...SERVING, 'httpHost', ...OF_CONSUMER],
  examples: ['onelane consumer', 'DATABASE_URL=postgres://me@db/app onelane consumer --health-port 9464'],
  run: (given) =>
    serve(given, {
      parts: 'consumer',
      embedded: 'find',
      announce: (running) => {
        announce(given.output, 'The consumer is up.', running);
      },
    }),
};
