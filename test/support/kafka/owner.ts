// A process of its own that owns a broker. Prints the broker's address when it serves, and waits to be killed.
import { startKafka } from './cluster.ts';

const { brokers } = await startKafka({ nodes: 1 });
process.stdout.write(brokers.join(','));
process.stdin.resume();
