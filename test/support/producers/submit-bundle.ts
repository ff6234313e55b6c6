// Owns a fresh submitter for each test, over a log in memory.
import { expect } from 'vitest';
import { openSubmitter, type SubmitLimits, type Submitter } from '../../../producers/submit.ts';
import { isFault } from '../../../producers/fault.ts';
import type { Sealed } from '../../../producers/seal.ts';
import { newUuid, position, type CommandId, type Partition } from '../../../shared/command/identity.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { createMemoryLog, type MemoryLog } from '../../../shared/transport/memory/index.ts';
import { testTypes } from './account-type.ts';
import { faultyTransport, type FaultyTransport } from './faulty-transport.ts';

export interface SubmitBundle {
  readonly submitter: Submitter;
  readonly log: MemoryLog;
  readonly transport: FaultyTransport;
  readonly events: readonly OnelaneEvent[];
  seal(subject: string, amount?: number): Sealed;
  /** Ids in the log, in its order, repeats included. */
  idsOf(partition: Partition): readonly CommandId[];
  allIds(): readonly CommandId[];
}

export interface SubmitBundleOptions {
  readonly limits?: Partial<SubmitLimits>;
  readonly partitions?: number;
  readonly isAway?: boolean;
}

/** Patience is short, so that tests need none. */
const LIMITS: Partial<SubmitLimits> = { graceMs: 150, flightMs: 400 };

export async function submitBundle(options: SubmitBundleOptions = {}): Promise<SubmitBundle> {
  const partitions = options.partitions ?? 1;
  const log = createMemoryLog({ partitions });
  const transport = faultyTransport(log);
  transport.isAway = options.isAway ?? false;
  const events: OnelaneEvent[] = [];
  const submitter = openSubmitter({
    transport,
    types: testTypes('t'),
    system: { id: newUuid(), partitions, layout: 1 },
    observe: (event) => void events.push(event),
    clock: systemClock,
    random: Math.random,
    fullHolds: new Set(),
    limits: { ...LIMITS, ...options.limits },
  });
  await submitter.firstAttempt;
  const idsOf = (partition: Partition): readonly CommandId[] =>
    Array.from({ length: log.bounds(partition).end }, (_, at) => log.at(partition, position(at))).flatMap(
      (delivery) => {
        const body = delivery === null ? null : decodeDelivery(delivery);
        return body?.kind === 'command' ? [body.id] : [];
      },
    );
  return {
    submitter,
    log,
    transport,
    events,
    seal: (subject, amount = 1) => {
      const sealed = submitter.seal({ type: 'account.deposit', subject, data: { amount } });
      if (isFault(sealed)) return expect.unreachable(sealed.detail);
      return sealed;
    },
    idsOf,
    allIds: () => log.partitions.flatMap(idsOf),
  };
}

/** A promise that the test fulfils. */
export function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open };
}
