// Owns `npm run bench`: every ratio that the product promises, each from contenders that took turns in one run.
// Parts: log, store, lane, transport, http, memory; none named means all. `--rounds N` (3). `--strict`: a goal that is missed ends it with 1.
import { parseArgs } from 'node:util';
import { startBenchServer } from './server.ts';
import { benchLane } from './part-lane.ts';
import { benchStore } from './store.ts';
import { benchHttp } from './part-http.ts';
import { benchMemory } from './part-memory.ts';
import { benchThrough } from './part-transport.ts';
import { benchLog } from './transport.ts';

const PARTS = {
  log: benchLog,
  store: benchStore,
  lane: benchLane,
  transport: benchThrough,
  http: benchHttp,
  memory: benchMemory,
} as const;

export interface BenchGiven {
  readonly url: string;
  readonly rounds: number;
}

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, strict: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const server = await startBenchServer();
try {
  console.log(
    `PostgreSQL ${server.version}, Node ${process.version}; medians of ${values.rounds} rounds in turn (lowest – highest)`,
  );
  for (const [name, part] of Object.entries(PARTS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    for (const { line, isMet } of await part({ url: server.url, rounds: Number(values.rounds) })) {
      console.log(line);
      // Not by itself: on a machine that others use, a ratio near its goal falls on either side of it.
      if (values.strict && !isMet) process.exitCode = 1;
    }
  }
} finally {
  await server.stop();
}
