// Owns a consumer as a process of a test: it tells what happens to its lanes, and waits at the signal that its parent names.
import { readSync } from 'node:fs';
import { assembleConsumer } from '../../../operators/wiring/consumer.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import type { ReachSignal } from '../../../shared/process/test-signal.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { UNBLOCKING, type Happening, type ToChild } from './protocol.ts';
import { standUp, tell } from './stand-up.ts';

/** Which arrival is waited for, and those who wait for `go`. */
const armed: { signal: string | null; nth: number; waiting: (() => void)[] } = { signal: null, nth: 0, waiting: [] };

const reach: ReachSignal = (signal, partition) => {
  if (signal !== armed.signal || --armed.nth > 0) return undefined;
  armed.signal = null;
  return new Promise((resolve) => {
    armed.waiting.push(resolve);
    tell({ kind: 'reached', signal, partition });
  });
};

process.on('message', (message) => {
  const said = message as ToChild; // child.ts sends nothing else
  switch (said.kind) {
    case 'arm':
      armed.signal = said.signal;
      armed.nth = said.nth;
      return;
    case 'go':
      for (const resolve of armed.waiting.splice(0)) resolve();
      return;
    case 'block':
      readSync(UNBLOCKING, Buffer.alloc(1));
  }
});

await standUp(
  (event) => {
    const happening = happeningOf(event);
    if (happening !== null) tell(happening);
  },
  (ground) => {
    const consumer = assembleConsumer({ ...ground, clock: systemClock, random: Math.random, reach });
    return { services: consumer.services, url: () => null };
  },
);

function happeningOf(event: OnelaneEvent): Happening | null {
  switch (event.kind) {
    case 'lane-claimed':
      return { kind: 'claimed', partition: event.partition, epoch: Number(event.epoch), claims: event.claims };
    case 'lane-released':
      return { kind: 'released', partition: event.partition, epoch: Number(event.epoch) };
    case 'tenure-lost':
      return { kind: 'lost', partition: event.partition, epoch: Number(event.epoch), reason: event.reason };
    case 'lane-halted':
      return { kind: 'halted', partition: event.partition, detail: event.detail };
    case 'batch-applied': {
      const { partition, entries, applied, rejected, repeated, parked, strays } = event;
      const commits = Number(event.commits);
      return { kind: 'applied', partition, commits, entries, applied, rejected, repeated, parked, strays };
    }
    default:
      return null;
  }
}
