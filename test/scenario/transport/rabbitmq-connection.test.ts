// Owns the proof that whoever asks a broker gets an answer, or an error when there is no broker any more.
import { expect, test } from 'vitest';
import { newUuid, type Partition } from '../../../shared/command/identity.ts';
import { asError } from '../../../shared/process/errors.ts';
import { Latest } from '../../../shared/process/latest.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { rabbitOf } from '../../../operators/wiring/rabbitmq-settings.ts';
import { BrokerAway } from '../../../shared/transport/broker-away.ts';
import { openConnection, type BrokerConnection } from '../../../shared/transport/rabbitmq/client.ts';
import { ConnectionSlot } from '../../../shared/transport/rabbitmq/connection-slot.ts';
import { EntryCounts } from '../../../shared/transport/rabbitmq/entry-counts.ts';
import { RabbitSubscription } from '../../../shared/transport/rabbitmq/subscription.ts';
import { describeWithRabbit } from '../../support/rabbitmq/describe.ts';

await describeWithRabbit('a connection that ends', (rabbit) => {
  const open = () => {
    const { access } = rabbitOf({ rabbitmqUrl: rabbit().url, rabbitmqSslCa: null });
    return openConnection({ access, heartbeatSeconds: 10, clock: systemClock });
  };

  test('answers whoever closes a channel just then, though amqplib does not', async () => {
    const connection = await open();
    const channel = await connection.channel();
    const closing = connection.ask(() => channel.close());
    connection.breakOff(new BrokerAway('it was cut'));
    await expect(closing).rejects.toThrow('it was cut');
    await connection.close();
  });

  test('answers whoever asks later at once', async () => {
    const connection = await open();
    await connection.close();
    await expect(connection.ask(() => new Promise(() => undefined))).rejects.toThrow('the connection was closed by us');
  });

  test('is not left behind by a subscription that could not open its other one', async () => {
    const standing = await open();
    const slotOf = (opens: () => Promise<BrokerConnection>) =>
      new ConnectionSlot({
        what: 'connection',
        open: opens,
        explain: (thrown) => new BrokerAway(asError(thrown).message),
        observe: () => undefined,
      });
    const opening = RabbitSubscription.open(new Latest(new Set<Partition>()), {
      slot: slotOf(() => Promise.resolve(standing)),
      stampSlot: slotOf(() => Promise.reject(new Error('no more connections'))),
      channel: 'none',
      partitions: 1,
      systemId: newUuid(),
      inboxBytesMax: 1,
      counts: new EntryCounts(),
      explain: (thrown) => new BrokerAway(asError(thrown).message),
      observe: () => undefined,
      clock: systemClock,
      random: Math.random,
    });
    await expect(opening).rejects.toThrow('no more connections');
    expect(standing.gone.aborted).toBe(true);
  });
});
