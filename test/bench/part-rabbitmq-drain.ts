// Owns the ratio of draining a backlog from RabbitMQ: one consumer process as it is wired, against a process with the bare loop.
import { drainedBy, type Drained, type LanesOrder } from './drain.ts';
import { judged, printFigures, takeTurns, type Contender, type Judged } from './measure.ts';
import type { RabbitBench } from './part-rabbitmq.ts';
import { layRabbitLog } from './rabbit-log.ts';
import type { Load } from './load.ts';

const ROWS = [1, 1_000];

export interface RabbitLoopOrder {
  readonly url: string;
  readonly tables: string;
  readonly broker: string;
  readonly channel: string;
  readonly partitions: number;
  readonly count: number;
}

type Drainer = 'lanes' | 'loop';
const NAMES = { lanes: 'a consumer process', loop: 'bare loop (consume)' } as const;

export async function benchRabbitDrain({ url, rounds, broker, commands }: RabbitBench): Promise<readonly Judged[]> {
  const lines: Judged[] = [];
  for (const rows of ROWS) {
    const load = { rows, count: commands };
    const contender = (who: Drainer): Contender => ({
      name: NAMES[who],
      run: () => drainRabbit(who, url, broker, load),
    });
    const figures = await takeTurns([contender('lanes'), contender('loop')], rounds);
    const named = `${rows.toLocaleString('en')} resources`;
    printFigures(`Draining ${commands.toLocaleString('en')} commands from RabbitMQ, ${named}`, figures);
    const [lanes = Number.NaN, loop = Number.NaN] = figures.map((figure) => figure.median);
    lines.push(judged(`rabbitmq, ${named}: a consumer process against a bare loop`, lanes / loop, { atLeast: 0.7 }));
  }
  return lines;
}

/** Queues and database are its own; the database is gone afterwards, the queues go with the node. */
export async function drainRabbit(who: Drainer, url: string, broker: string, load: Load): Promise<Drained> {
  const { bench, channel, partitions } = await layRabbitLog(broker, load);
  const { schema, tables } = bench;
  try {
    if (who === 'loop') {
      const order: RabbitLoopOrder = { url, tables, broker, channel, partitions, count: load.count };
      return await drainedBy('rabbit-loop-child', order);
    }
    const env = { ONELANE_TRANSPORT: 'rabbitmq', ONELANE_CHANNEL: channel, RABBITMQ_URL: broker };
    const order: LanesOrder = { url, schema, tables, env, count: load.count };
    return await drainedBy('lanes-child', order);
  } finally {
    await bench.close();
  }
}
