// Owns the proof that whoever asks a broker gets an answer, or an error when there is no broker any more.
import { expect, test } from 'vitest';
import { systemClock } from '../../../shared/process/time.ts';
import { rabbitOf } from '../../../operators/wiring/rabbitmq-settings.ts';
import { BrokerAway } from '../../../shared/transport/broker-away.ts';
import { openConnection } from '../../../shared/transport/rabbitmq/client.ts';
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
});
