// Owns `npm run bench`: every ratio that the product promises, each from contenders that took turns in one run.
// Parts: log, store, lane, transport, http, memory, kafka, rabbitmq; none named means all. `--rounds N` (3). `--strict`: a goal that is missed ends it with 1.
// Of kafka and rabbitmq: `--commands N` (1000000) to drain; `--only` drain, memory, submit, wait or pause, once for each.
import { parseArgs } from 'node:util';
import { startBenchServer } from './server.ts';
import { benchLane } from './part-lane.ts';
import { benchStore } from './store.ts';
import { benchHttp } from './part-http.ts';
import { benchKafka } from './part-kafka.ts';
import { benchRabbit } from './part-rabbitmq.ts';
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
  kafka: benchKafka,
  rabbitmq: benchRabbit,
} as const;

export interface BenchGiven {
  readonly url: string;
  readonly rounds: number;
  /** Of a backlog in a broker. */
  readonly commands: number;
  /** Parts of a part; empty means all. */
  readonly only: readonly string[];
}

const { values, positionals } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    strict: { type: 'boolean', default: false },
    commands: { type: 'string', default: '1000000' },
    only: { type: 'string', multiple: true, default: [] },
  },
  allowPositionals: true,
});
const server = await startBenchServer();
const given: BenchGiven = {
  url: server.url,
  rounds: Number(values.rounds),
  commands: Number(values.commands),
  only: values.only,
};
try {
  console.log(
    `PostgreSQL ${server.version}, Node ${process.version}; medians of ${values.rounds} rounds in turn (lowest – highest)`,
  );
  for (const [name, part] of Object.entries(PARTS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    for (const { line, isMet } of await part(given)) {
      console.log(line);
      // Not by itself: on a machine that others use, a ratio near its goal falls on either side of it.
      if (values.strict && !isMet) process.exitCode = 1;
    }
  }
} finally {
  await server.stop();
}
