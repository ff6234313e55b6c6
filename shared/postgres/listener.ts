// Owns listening: one connection that hears a channel, and comes back for ever when it breaks.
import pg from 'pg';
import { asError } from '../process/errors.ts';
import type { Observe } from '../process/events.ts';
import { backoffMs, systemClock, type Clock, type Random } from '../process/time.ts';
import { connectionOptions } from './database.ts';
import { breakOff, endClient } from './end-client.ts';

export interface ListenerWanted {
  readonly url: string;
  readonly channel: string;
  /** Must not throw. */
  readonly onNotification: (payload: string) => void;
  /** After each connect: what was said before was not heard, so look for yourself. Must not throw. */
  readonly onConnected: () => void;
  readonly observe: Observe;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface Listener {
  /** Idempotent; nothing is called afterwards. */
  close(): Promise<void>;
}

/** A connection that a network dropped in silence says nothing, so it is asked now and then. */
const ASK_EVERY_MS = 15_000;
const ANSWER_MS = 5_000;

/** Returns at once; the connection is made, and made again, in the background. */
export function openListener(wanted: ListenerWanted): Listener {
  const closing = new AbortController();
  const ended = listenForEver(wanted, closing.signal);
  return {
    close: () => {
      closing.abort();
      return ended;
    },
  };
}

/** Never rejects. */
async function listenForEver(wanted: ListenerWanted, closing: AbortSignal): Promise<void> {
  const clock = wanted.clock ?? systemClock;
  let failures = 0;
  while (!closing.aborted) {
    const client = new pg.Client({ ...connectionOptions(wanted.url, 'onelane-listener'), query_timeout: ANSWER_MS });
    const lost = lossOf(client, closing);
    try {
      await connect(client, closing);
      client.on('notification', ({ channel, payload }) => {
        if (channel === wanted.channel && !closing.aborted) wanted.onNotification(payload ?? '');
      });
      await client.query(`listen ${client.escapeIdentifier(wanted.channel)}`);
      if (failures > 0) wanted.observe({ kind: 'connection-restored', what: `listener ${wanted.channel}` });
      failures = 0;
      if (!closing.aborted) wanted.onConnected();
      await stayConnected(client, lost, clock);
    } catch (thrown) {
      failures++;
      if (failures === 1 && !closing.aborted) {
        wanted.observe({ kind: 'connection-lost', what: `listener ${wanted.channel}`, cause: asError(thrown) });
      }
    } finally {
      await endClient(client, clock);
    }
    if (!closing.aborted) await clock.sleep(backoffMs(failures, wanted.random ?? Math.random), closing);
  }
}

/** A server that takes a connection and never answers must not hold up closing. */
async function connect(client: pg.Client, closing: AbortSignal): Promise<void> {
  const giveUp = () => {
    breakOff(client);
  };
  closing.addEventListener('abort', giveUp);
  try {
    await client.connect();
  } finally {
    closing.removeEventListener('abort', giveUp);
  }
}

/** Aborts, with the cause, when the connection breaks or the listener closes. */
function lossOf(client: pg.Client, closing: AbortSignal): AbortSignal {
  const broken = new AbortController();
  client.on('error', (cause) => {
    broken.abort(cause);
  });
  client.on('end', () => {
    broken.abort(new Error('the server ended the connection'));
  });
  return AbortSignal.any([broken.signal, closing]);
}

async function stayConnected(client: pg.Client, lost: AbortSignal, clock: Clock): Promise<void> {
  for (;;) {
    await clock.sleep(ASK_EVERY_MS, lost);
    lost.throwIfAborted();
    await client.query('select 1');
  }
}
