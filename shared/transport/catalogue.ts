// Owns which transports there are: the only file that imports adapters.
import { OnelaneError } from '../process/errors.ts';
import { createMemoryLog, memoryTransport } from './memory/index.ts';
import { postgresTransport, type PostgresTransportGiven } from './postgres/index.ts';
import type { Transport } from './transport.ts';

export class TransportUnknown extends OnelaneError {
  readonly code = 'transport-unknown' as const;
}

export const TRANSPORTS = ['memory', 'postgres'] as const;

/** Throws TransportUnknown for a name that this build does not know. `memory`: a log of its own, gone with the process. */
export function openTransport(kind: string, given: PostgresTransportGiven): Transport {
  switch (kind) {
    case 'memory':
      return memoryTransport(createMemoryLog(), { systemId: given.systemId, clock: given.clock });
    case 'postgres':
      return postgresTransport(given);
    default:
      throw new TransportUnknown(
        `transport "${kind}" is not in this build: use postgres (kafka and rabbitmq are not built in yet)`,
      );
  }
}
