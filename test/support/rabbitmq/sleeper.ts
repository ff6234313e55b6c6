// A process of its own that falls asleep over a command, past its heartbeats, and then settles it as if nothing had happened. Tells what it meets.
import { connect } from 'amqplib';

const [, , url = '', queue = '', sleepMs = ''] = process.argv;
const connection = await connect(url);
const channel = await connection.createChannel();
const tell = (word: string) => process.stdout.write(`${word}\n`);

const closed = new Promise<void>((resolve) => {
  connection.on('error', () => undefined).once('close', () => resolve());
});
await channel.prefetch(1);
await channel.consume(queue, (message) => {
  if (message === null) return;
  tell(`took ${message.content.toString()}`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(sleepMs));
  tell(`applied ${message.content.toString()}`);
  void closed.then(() => {
    try {
      channel.ack(message);
      tell('acked');
    } catch (thrown) {
      tell(`ack refused: ${thrown instanceof Error ? thrown.name : ''}`);
    }
  });
});
