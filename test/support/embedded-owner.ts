// A process of its own that owns, or borrows, the embedded server of a directory. Prints one line of JSON when it has it, and stops
// it when its input ends. Argument: the data directory.
import { once } from 'node:events';
import { startEmbeddedServer } from '../../shared/postgres/embedded/server.ts';

const [dataDirectory = ''] = process.argv.slice(2);
try {
  const { url, port, how, stop } = await startEmbeddedServer({ dataDirectory, observe: () => undefined });
  process.stdout.write(`${JSON.stringify({ kind: 'has', url, port, how })}\n`);
  await once(process.stdin.resume(), 'end');
  await stop(10_000);
} catch (thrown) {
  process.stdout.write(`${JSON.stringify({ kind: 'failed', sentence: String(thrown) })}\n`);
}
