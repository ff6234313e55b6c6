// A process of its own under the watchdog. Arguments: limit in ms, what it does. Says `ready`, then answers each line it is sent.
import { watchdog } from '../../../consumers/watchdog.ts';

const [limitMs = '', act = ''] = process.argv.slice(2);
const service = watchdog({ limitMs: Number(limitMs) });
await service.start();
process.stdout.write('ready\n');
if (act === 'answer') {
  // Nearly always within a turn, so that being stopped and woken falls into one; short enough for a machine that is twenty times as slow
  // when others need it, too. Counted work: time goes on while stopped.
  const rounds = roundsWithin(Number(limitMs) / 20);
  setInterval(() => spend(rounds), 1);
  process.stdin.on('data', () => process.stdout.write('here\n'));
}
if (act === 'stop') {
  await service.stop(100);
  await service.stop(100);
  const untilMs = performance.now() + 5 * Number(limitMs);
  while (performance.now() < untilMs);
  process.stdout.write('survived\n');
}
if (act === 'loop') for (;;);
if (act === 'microtasks') for (;;) await Promise.resolve();

function spend(rounds: number): number {
  let sum = 0;
  for (let round = 0; round < rounds * 10_000; round++) sum = (sum * 31 + round) | 0;
  return sum;
}

function roundsWithin(ms: number): number {
  const untilMs = performance.now() + ms;
  let rounds = 0;
  for (; performance.now() < untilMs; rounds++) spend(1);
  return rounds;
}
