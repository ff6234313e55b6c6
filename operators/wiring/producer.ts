// Owns the putting together of the API: the HTTP server with what it submits through, within the settings' bounds.
import { createServer } from 'node:net';
import { PortInUse, producerServer, type ProducerServer } from '../../producers/http/server.ts';
import { OnelaneError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { Metrics } from '../../shared/process/metrics.ts';
import type { Settings } from '../../shared/process/settings.ts';
import type { Clock, Random } from '../../shared/process/time.ts';
import type { Foundation } from './foundation.ts';

export type ProducerSettings = Pick<
  Settings,
  'httpHost' | 'httpPort' | 'body' | 'wait' | 'inFlight' | 'heldResource' | 'insecure'
>;

export interface ProducerGiven {
  readonly foundation: Foundation;
  readonly settings: ProducerSettings;
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

/** Without tokens, whoever reaches the port can write. */
export class ListeningInsecure extends OnelaneError {
  readonly code = 'listening-insecure' as const;
}

export function assembleProducer(given: ProducerGiven): ProducerServer {
  const { foundation, settings, metrics, observe, clock, random } = given;
  return producerServer({
    host: settings.httpHost,
    port: settings.httpPort,
    database: foundation.database,
    system: foundation.system,
    transport: foundation.transport,
    types: foundation.config.types,
    metrics,
    observe,
    clock,
    random,
    limits: {
      http: { bodyBytes: settings.body, waitMs: settings.wait },
      submit: { inFlightEntries: settings.inFlight },
      held: { parkedMax: settings.heldResource },
    },
  });
}

/** Before anything is opened. */
export function refuseInsecure(settings: Pick<Settings, 'httpHost' | 'insecure'>): void {
  if (settings.insecure || isLoopback(settings.httpHost)) return;
  throw new ListeningInsecure(
    `ONELANE_HTTP_HOST is ${settings.httpHost}, where other machines can reach the API and write without a token: keep 127.0.0.1, or set ONELANE_INSECURE=1 if your network keeps strangers out`,
  );
}

/**
 * Before anything is opened: a process that finds its port taken only after it has joined the consumers makes them hand over
 * partitions for nothing. Whatever else is wrong with the address, listening will say.
 */
export async function refusePortInUse({ httpHost: host, httpPort: port }: ProducerSettings): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (cause) => {
      const isTaken = 'code' in cause && cause.code === 'EADDRINUSE';
      const sentence = `port ${port} on ${host} is in use: stop what listens there, or choose another ONELANE_HTTP_PORT`;
      if (isTaken) reject(new PortInUse(sentence, { cause }));
      else resolve();
    });
    probe.listen(port, host, () =>
      probe.close(() => {
        resolve();
      }),
    );
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
