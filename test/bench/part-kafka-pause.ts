// Owns the measuring of pauses: how long no command of a partition is applied when it moves, by plan or because its consumer was killed.
import { setInterval } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { partitionOf } from '../../shared/command/routing.ts';
import { newCommandId, newUuid, trustedKey } from '../../shared/command/identity.ts';
import { PARTITIONS_DEFAULT } from '../../shared/postgres/system.ts';
import type { Publisher, Routed } from '../../shared/transport/transport.ts';
import { freshSchemas } from '../support/database.ts';
import { startChild, type Child } from '../support/processes/child.ts';
import type { ChildGiven, Happening } from '../support/processes/protocol.ts';
import { accountTable } from './accounts.ts';
import { freshTopic, openKafkaLog } from './kafka-log.ts';
import { depositEvent } from './load.ts';
import { median, type Judged } from './measure.ts';
import type { KafkaBench } from './part-kafka.ts';

const ROWS = 200;
/** Each time a command for every partition. */
const PUBLISH_EVERY_MS = 10;
const PARTITIONS = Array.from({ length: PARTITIONS_DEFAULT }, (_, partition) => partition);

type Move = 'a consumer comes' | 'a consumer goes' | 'a consumer is killed';

export async function benchKafkaPause({ url, rounds, brokers }: KafkaBench): Promise<readonly Judged[]> {
  const schemas = await freshSchemas({ sql: accountTable(ROWS) });
  const topic = freshTopic();
  // The children's config finds the table by it.
  process.env['BENCH_TABLES'] = schemas.tables;
  const given: ChildGiven = {
    databaseUrl: url,
    schema: schemas.schema,
    configFile: fileURLToPath(new URL('./onelane.config.js', import.meta.url)),
    partitions: PARTITIONS_DEFAULT,
    port: 0,
    batchSize: 500,
    settings: { ONELANE_TRANSPORT: 'kafka', ONELANE_CHANNEL: topic, KAFKA_BROKERS: brokers.join(',') },
  };
  try {
    const pauses = await measure(given, { brokers, topic, rounds });
    console.log('\nPauses of partitions that move, median over all of them (shortest – longest)');
    for (const [move, all] of pauses) {
      const [low, middle, high] = [Math.min(...all), median(all), Math.max(...all)].map((ms) => `${Math.round(ms)} ms`);
      console.log(`  ${move.padEnd(24)} ${middle}   (${low} – ${high}), ${all.length} partitions`);
    }
    return [];
  } finally {
    await schemas.close();
  }
}

async function measure(
  given: ChildGiven,
  of: { readonly brokers: readonly string[]; readonly topic: string; readonly rounds: number },
): Promise<ReadonlyMap<Move, readonly number[]>> {
  const watch = new Watch();
  const start = () =>
    startChild({ entry: 'consumer', given, onTold: (name, happening) => watch.told(name, happening) });
  const pauses = new Map<Move, number[]>();
  const children: Child[] = [];
  const moved = async (move: Move, to: number): Promise<void> => {
    pauses.set(move, [...(pauses.get(move) ?? []), ...(await watch.settled(to))]);
  };
  children.push(await start());
  const trickle = await openTrickle(of);
  try {
    await watch.settled(1);
    for (let round = 0; round < of.rounds; round++) {
      for (const [how, move] of [
        ['SIGTERM', 'a consumer goes'],
        ['SIGKILL', 'a consumer is killed'],
      ] as const) {
        const second = await start();
        children.push(second);
        await moved('a consumer comes', 2);
        watch.gone(second.name);
        void second.end(how);
        await moved(move, 1);
        await second.ended;
      }
    }
    return pauses;
  } finally {
    await trickle.close();
    for (const child of children) await child.end('SIGKILL');
  }
}

interface Applied {
  readonly by: string;
  readonly ms: number;
}

/** Who applied each partition's commands last, and how long nobody did when that changed. */
class Watch {
  readonly #last = new Map<number, Applied>();
  #pauses = new Map<number, number>();
  #gone = '';
  #look: (() => void) | null = null;

  told(by: string, happening: Happening): void {
    if (happening.kind === 'halted') throw new Error(`partition ${happening.partition} halted: ${happening.detail}`);
    if (happening.kind !== 'applied') return;
    const { partition } = happening;
    const before = this.#last.get(partition);
    const now = { by, ms: performance.now() };
    if (before !== undefined && before.by !== by) this.#pauses.set(partition, now.ms - before.ms);
    this.#last.set(partition, now);
    this.#look?.();
  }

  /** It is not to be waited for any more. */
  gone(name: string): void {
    this.#gone = name;
  }

  /** Resolves when so many consumers share the partitions evenly, with the pauses of those that moved. */
  async settled(consumers: number): Promise<readonly number[]> {
    await new Promise<void>((resolve) => {
      this.#look = () => {
        if (this.#isShared(consumers)) resolve();
      };
      this.#look();
    });
    const pauses = [...this.#pauses.values()];
    this.#pauses = new Map();
    return pauses;
  }

  #isShared(consumers: number): boolean {
    const counts = new Map<string, number>();
    for (const { by } of this.#last.values()) counts.set(by, (counts.get(by) ?? 0) + 1);
    const share = PARTITIONS_DEFAULT / consumers;
    return (
      !counts.has(this.#gone) && counts.size === consumers && [...counts.values()].every((count) => count === share)
    );
  }
}

/** Commands for all partitions, a few at a time, so that each one's silence shows. */
async function openTrickle(of: { readonly brokers: readonly string[]; readonly topic: string }) {
  const transport = openKafkaLog({ ...of, systemId: newUuid() });
  const publisher = await transport.openPublisher();
  const accounts = PARTITIONS.map(accountIn);
  let isOver = true;
  const timer = setInterval(() => {
    if (!isOver) return;
    isOver = false;
    void publishOne(publisher, accounts).then(() => (isOver = true));
  }, PUBLISH_EVERY_MS);
  return {
    close: async () => {
      clearInterval(timer);
      await publisher.close();
      await transport.close();
    },
  };
}

async function publishOne(publisher: Publisher, accounts: readonly number[]): Promise<void> {
  const results = await publisher.publish(accounts.map(routed));
  if (results.some((result) => result.kind !== 'stored')) throw new Error('a command of the trickle was not stored');
}

function routed(account: number): Routed {
  const key = trustedKey(`account/${account}`);
  const partition = partitionOf(key, PARTITIONS_DEFAULT);
  return { partition, key, id: newCommandId(), bytes: depositEvent(account), headers: {} };
}

/** The first account whose commands go there. */
function accountIn(partition: number): number {
  for (let account = 1; account <= ROWS; account++) {
    if (partitionOf(trustedKey(`account/${account}`), PARTITIONS_DEFAULT) === partition) return account;
  }
  throw new Error(`no account of ${ROWS} belongs to partition ${partition}`);
}
