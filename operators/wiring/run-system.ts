// Owns a running process of a system: the API, a consumer, or both, on a database that it may have started itself.
import { fanOut, type Observe } from '../../shared/process/events.ts';
import { openMetrics } from '../../shared/process/metrics.ts';
import { startAll, stopAll, type Service } from '../../shared/process/service.ts';
import type { Settings } from '../../shared/process/settings.ts';
import { systemClock, type Clock, type Random } from '../../shared/process/time.ts';
import { assembleConsumer } from './consumer.ts';
import { openFoundation, type Foundation } from './foundation.ts';
import { healthServer, type HealthServer } from './health-server.ts';
import type { LoadedConfig } from './load-config.ts';
import { assembleProducer, refuseInsecure, refusePortInUse } from './producer.ts';
import { metricsReadings } from './readings.ts';
import { runningOrNamed, startOrNamed, type ServerChoice } from './server-url.ts';

export interface RunWanted {
  readonly parts: 'api' | 'consumer' | 'both';
  /** `start`: where no database is named, an embedded one is started; `find`: one must run here already. */
  readonly embedded: 'start' | 'find';
  readonly settings: Settings;
  readonly config: LoadedConfig;
  /** The log, say; metrics subscribe by themselves. */
  readonly observe: Observe;
}

export interface RunningSystem {
  readonly foundation: Foundation;
  /** Of the API; null: this process has none. */
  readonly url: string | null;
  /** Of a consumer's health and metrics; null: off. */
  readonly healthUrl: string | null;
  /** Of the embedded server that is used; null: the database was named. */
  readonly dataDirectory: string | null;
  /** Drains and closes all; returns what did not stop cleanly. */
  stop(): Promise<readonly Error[]>;
}

/** What stopping needs beyond the drain: closing connections, and the embedded server. */
const CLOSE_MS = 750;
const SERVER_STOP_MS = 1_000;

/** Throws the first thing that is wrong, and has then left nothing running. */
export async function runSystem(wanted: RunWanted): Promise<RunningSystem> {
  const { settings } = wanted;
  if (wanted.parts !== 'consumer') {
    refuseInsecure(settings);
    await refusePortInUse(settings);
  }
  const server = await (wanted.embedded === 'start'
    ? startOrNamed(settings, wanted.observe)
    : runningOrNamed(settings));
  try {
    return await runOn(server, wanted);
  } catch (cause) {
    await server.embedded?.stop(SERVER_STOP_MS);
    throw cause;
  }
}

async function runOn(server: ServerChoice, wanted: RunWanted): Promise<RunningSystem> {
  const { settings, config } = wanted;
  const clock = systemClock;
  const foundation = await openFoundation({ url: server.url, settings, config, observe: wanted.observe, clock });
  try {
    const parts = assemble(foundation, wanted, { clock, random: Math.random });
    await startAll(parts.services, settings.drain);
    return {
      foundation,
      url: parts.api?.url() ?? null,
      healthUrl: parts.health?.url() ?? null,
      dataDirectory: server.dataDirectory,
      stop: async () => {
        const failures = await stopAll(parts.services, settings.drain);
        await foundation.close(CLOSE_MS);
        await server.embedded?.stop(SERVER_STOP_MS);
        return failures;
      },
    };
  } catch (cause) {
    await foundation.close(CLOSE_MS);
    throw cause;
  }
}

interface Parts {
  /** In the order of their start: what gives work comes last, and stops first. */
  readonly services: readonly Service[];
  readonly api: ReturnType<typeof assembleProducer> | null;
  readonly health: HealthServer | null;
}

function assemble(
  foundation: Foundation,
  wanted: RunWanted,
  effects: { readonly clock: Clock; readonly random: Random },
): Parts {
  const { settings } = wanted;
  const metrics = openMetrics(metricsReadings(foundation, () => effects.clock.now()));
  const given = { foundation, settings, ...effects, observe: fanOut([wanted.observe, metrics.observe]) };
  const api = wanted.parts === 'consumer' ? null : assembleProducer({ ...given, metrics });
  const consumer =
    wanted.parts === 'api'
      ? null
      : assembleConsumer({ ...given, reach: null, hear: (commit) => api?.committed(commit) });
  const health =
    consumer === null || settings.healthPort === null
      ? null
      : healthServer({
          host: settings.httpHost,
          port: settings.healthPort,
          isReady: () => consumer.isReady(),
          metrics,
        });
  const services = [...(consumer?.services ?? []), health, api].filter((each) => each !== null);
  return { services, api, health };
}
