// Owns the front door of the memory transport: the reference that other adapters are compared with, and the one that tests use.
import type { Uuid } from '../../command/identity.ts';
import { asError, OnelaneError } from '../../process/errors.ts';
import { systemClock, type Clock } from '../../process/time.ts';
import { position } from '../../command/identity.ts';
import { LaneRoster } from '../lane-roster.ts';
import type { PartitionEnd, Publisher, PublishResult, Routed, Subscription, Transport } from '../transport.ts';
import { MemoryLane } from './lane.ts';
import { MemoryLog, type MemoryLogOptions } from './log.ts';

export type { MemoryLog } from './log.ts';

export interface MemoryTransportOptions {
  /** Entries that carry another system's id halt their lane. Default: not looked at. */
  readonly systemId?: Uuid;
  readonly clock?: Clock;
  /** What a test wants the next publish calls to do; called once per call, before anything is stored. */
  readonly onPublish?: (batch: readonly Routed[]) => PublishFault;
}

/** `unknown-stored`: the answer got lost on the way back. `unknown-lost`: the question did, on the way there. */
export type PublishFault = 'none' | 'refused' | 'unknown-stored' | 'unknown-lost';

/** The log outlives every transport over it: as durable as the process. */
export function createMemoryLog(options: MemoryLogOptions = {}): MemoryLog {
  return new MemoryLog(options);
}

/** Several transports over one log act as several processes. */
export function memoryTransport(log: MemoryLog, options: MemoryTransportOptions = {}): Transport {
  const given = { log, systemId: options.systemId ?? null, clock: options.clock ?? systemClock };
  return {
    traits: { positions: 'stored', assigns: 'by-lease', carriedBy: 'the log in memory' },
    provision: (partitions) => soon(() => log.provision(partitions)),
    openPublisher: () =>
      soon((): Publisher => {
        log.reach();
        let isClosed = false;
        return {
          publish: (batch) =>
            soon(() => (isClosed ? batch.map(() => CLOSED) : publish(batch, given, options.onPublish))),
          close: () => soon(() => void (isClosed = true)),
        };
      }),
    openSubscription: (mine) =>
      soon((): Subscription => {
        log.reach();
        const roster = new LaneRoster(mine, (hold) => new MemoryLane(hold, given));
        return { lanes: (stop) => roster.lanes(stop), close: () => soon(() => roster.stop()) };
      }),
    ends: () => soon(() => ends(log)),
    close: () => soon(() => undefined),
  };
}

const CLOSED: PublishResult = { kind: 'refused', reason: 'the publisher is closed', retry: false };

/** What `work` returns or throws, as a promise. */
function soon<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()));
}

function publish(
  batch: readonly Routed[],
  given: { readonly log: MemoryLog; readonly clock: Clock },
  onPublish: ((batch: readonly Routed[]) => PublishFault) | undefined,
): readonly PublishResult[] {
  const fault = onPublish?.(batch) ?? 'none';
  try {
    given.log.reach();
    if (fault === 'refused') return batch.map(() => ({ kind: 'refused', reason: 'a test wants it so', retry: true }));
    if (fault === 'unknown-lost') return batch.map(() => ({ kind: 'unknown', cause: new AnswerLost() }));
    const results = given.log.append(batch, given.clock.now());
    return fault === 'none' ? results : batch.map(() => ({ kind: 'unknown', cause: new AnswerLost() }));
  } catch (cause) {
    return batch.map(() => ({ kind: 'refused', reason: asError(cause).message, retry: true }));
  }
}

class AnswerLost extends OnelaneError {
  readonly code = 'answer-lost' as const;

  constructor() {
    super('the answer of the log in memory got lost: publish the same entries again');
  }
}

function ends(log: MemoryLog): readonly PartitionEnd[] {
  log.reach();
  return log.partitions.map((partition) => ({
    partition,
    next: position(log.bounds(partition).end),
    waiting: log.unsettled(partition),
  }));
}
