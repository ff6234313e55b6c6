// Owns backlogs in RabbitMQ: queues of a system that begins anew, laid before each drain, as a drained queue is empty.
import { randomBytes } from 'node:crypto';
import { HEADER } from '../../shared/command/entry.ts';
import { PARTITIONS_DEFAULT } from '../../shared/postgres/system.ts';
import { parseSettings } from '../../shared/process/settings.ts';
import { systemClock } from '../../shared/process/time.ts';
import { rabbitTransport } from '../../shared/transport/rabbitmq/index.ts';
import { rabbitOf } from '../../operators/wiring/rabbitmq-settings.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { layBacklog } from './lane.ts';
import type { Load } from './load.ts';

export interface RabbitLog {
  readonly broker: string;
  readonly channel: string;
  readonly partitions: number;
  readonly load: Load;
  readonly bench: TestDatabase;
}

export function freshChannel(): string {
  return `bench-${randomBytes(6).toString('hex')}`;
}

/** As many partitions as a system has by default; headers as our own publishers set them. */
export async function layRabbitLog(broker: string, load: Load): Promise<RabbitLog> {
  const channel = freshChannel();
  const partitions = PARTITIONS_DEFAULT;
  const bench = await freshDatabase({ partitions, transport: 'rabbitmq', channel, sql: accountTable(load.rows) });
  const { rabbitmqUrl, rabbitmqSslCa } = parseSettings({
    env: { RABBITMQ_URL: broker },
    flags: {},
    readFile: () => '',
  });
  const transport = rabbitTransport({
    ...rabbitOf({ rabbitmqUrl, rabbitmqSslCa }),
    channel,
    partitions,
    systemId: bench.system.id,
    leaseMs: 6_000,
    inboxBytesMax: 64 * 1024 * 1024,
    observe: () => undefined,
    clock: systemClock,
    random: Math.random,
  });
  try {
    await transport.provision(partitions);
    const headers = Object.freeze({ [HEADER.system]: bench.system.id, [HEADER.layout]: '1' });
    await layBacklog(transport, load, partitions, headers);
    return { broker, channel, partitions, load, bench };
  } finally {
    await transport.close();
  }
}
