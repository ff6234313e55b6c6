// Owns ending a connection, also one whose network is dead: there nobody answers the goodbye.
import pg from 'pg';
import type { Clock } from '../process/time.ts';

const GOODBYE_MS = 1_000;

/** Never rejects. */
export async function endClient(client: pg.Client, clock: Clock): Promise<void> {
  const ended = new AbortController();
  const ending = client
    .end()
    .catch(() => undefined)
    .finally(() => {
      ended.abort();
    });
  await clock.sleep(GOODBYE_MS, ended.signal);
  if (!ended.signal.aborted) breakOff(client);
  await ending;
}

/** Whoever waits for an answer on it gets an error, now. */
export function breakOff(client: pg.ClientBase): void {
  if (client instanceof pg.Client) client.connection.stream.destroy();
}
