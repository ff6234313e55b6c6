// Owns the archive of a broker's classes: Java reads them from it in place of hundreds of jar entries, which halves the work of a start.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

const TRAINING_MS = 60_000;

/**
 * Runs a broker on a formatted folder until it serves, and ends it in good order, when Java writes the archive. Where Java cannot,
 * the archive is an empty file: brokers start without.
 */
export async function makeArchive(made: string, broker: readonly string[]): Promise<void> {
  const training = [`-XX:ArchiveClassesAtExit=${made}`, ...broker];
  const child = spawn('java', training, { stdio: ['ignore', 'pipe', 'ignore'] });
  const deadline = setTimeout(() => child.kill('SIGKILL'), TRAINING_MS);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.includes('Kafka Server started')) child.kill('SIGTERM');
  });
  try {
    await once(child, 'close');
  } finally {
    clearTimeout(deadline);
  }
  if (!existsSync(made)) await writeFile(made, '');
}
