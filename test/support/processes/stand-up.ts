// Owns how a test's process stands up and ends: the product's own wiring, told apart from the command line only by its parent.
import { loadConfig } from '../../../operators/wiring/load-config.ts';
import { openFoundation, type Foundation } from '../../../operators/wiring/foundation.ts';
import type { Observe } from '../../../shared/process/events.ts';
import { startAll, stopAll, type Service } from '../../../shared/process/service.ts';
import { parseSettings, type Settings } from '../../../shared/process/settings.ts';
import { systemClock } from '../../../shared/process/time.ts';
import type { ChildGiven, FromChild } from './protocol.ts';

export interface Ground {
  readonly foundation: Foundation;
  readonly settings: Settings;
  readonly observe: Observe;
}

const STOP_MS = 8_000;

/** `build` gives the services in the order of their starting; `url` is asked once they have started. */
export async function standUp(
  observe: Observe,
  build: (ground: Ground) => { readonly services: readonly Service[]; url(): string | null },
): Promise<void> {
  const given = JSON.parse(process.argv[2] ?? '{}') as ChildGiven; // written by child.ts
  // Nobody is left over when the test itself dies.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  const settings = settingsOf(given);
  const config = await loadConfig(given.configFile, process.cwd());
  const foundation = await openFoundation({ url: given.databaseUrl, settings, config, observe, clock: systemClock });
  const { services, url } = build({ foundation, settings, observe });
  process.once('SIGTERM', () => void standDown(services, foundation));
  await startAll(services, STOP_MS);
  tell({ kind: 'ready', url: url() });
}

export function tell(said: FromChild): void {
  if (process.connected) process.send?.(said);
}

async function standDown(services: readonly Service[], foundation: Foundation): Promise<void> {
  await stopAll(services, STOP_MS);
  await foundation.close(1_000);
  process.exit(0);
}

export function settingsOf(given: ChildGiven): Settings {
  const env = {
    DATABASE_URL: given.databaseUrl,
    ONELANE_SCHEMA: given.schema,
    ONELANE_PARTITIONS: String(given.partitions),
    ONELANE_HTTP_PORT: String(given.port),
    ONELANE_BATCH_SIZE: String(given.batchSize),
    ...given.settings,
  };
  return parseSettings({ env, flags: {}, readFile: () => '' });
}
