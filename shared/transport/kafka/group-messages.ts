// Owns what the thread of the group and the one of the lanes say to each other. Plain values: nothing else goes from one to the other.
import type { Partition } from '../../command/identity.ts';
import { BrokenInvariant, type OnelaneError } from '../../process/errors.ts';
import { BrokerAway } from '../broker-away.ts';
import { BrokerLoginRefused, BrokerRightMissing, BrokerTlsFailed } from '../broker-faults.ts';
import type { Claims } from './assignment.ts';
import { CompressionUnknown, TopicMissing } from './broker-errors.ts';
import type { KafkaClientGiven } from './client.ts';
import type { Fetched, Taken } from './fetched.ts';
import { LaneSilent } from './lane-silent.ts';
import type { PageParts } from './records.ts';

/** What the thread is made with. */
export interface GroupOrder {
  readonly client: KafkaClientGiven;
  readonly topic: string;
  readonly groupId: string;
  readonly partitions: number;
  /** How long the group waits for a silent member. */
  readonly sessionMs: number;
  readonly fetch: { readonly partitionBytes: number; readonly bytes: number };
}

/** To the group's thread, in order. */
export type ToGroup =
  | { readonly kind: 'read-from'; readonly partition: Partition; readonly offset: number; readonly turn: number }
  | { readonly kind: 'resume' | 'pause'; readonly partition: Partition }
  /** The answer to `fetched`: the partition is not fetched again before. */
  | { readonly kind: 'taken'; readonly nth: number; readonly through: Taken }
  | { readonly kind: 'claims'; readonly claims: Claims }
  | { readonly kind: 'commit'; readonly offsets: ReadonlyMap<Partition, bigint>; readonly nth: number }
  | { readonly kind: 'rest'; readonly cause: ToldError }
  | { readonly kind: 'close' };

/** From it, in order. `turn`: of the last `read-from` for this partition that had been heard. */
export type FromGroup =
  | { readonly kind: 'started' }
  | { readonly kind: 'not-started'; readonly cause: ToldError }
  /** `at`: on the clock that all threads share. */
  | { readonly kind: 'known'; readonly at: number | null }
  | { readonly kind: 'assigned'; readonly partitions: readonly Partition[] }
  | { readonly kind: 'doubted' }
  | (Omit<Fetched, 'page'> & {
      readonly kind: 'fetched';
      readonly page: PageParts;
      readonly turn: number;
      readonly nth: number;
    })
  | (Omit<Fetched, 'page'> & { readonly kind: 'skipped'; readonly turn: number })
  | { readonly kind: 'lost'; readonly cause: ToldError }
  | { readonly kind: 'committed'; readonly nth: number; readonly cause: ToldError | null }
  | { readonly kind: 'closed' };

/** Of the machine, in milliseconds: never set back, and the same for all threads, which that of `performance.now()` is not. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** An error without its class, which does not go from one thread to another. */
export interface ToldError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Ours, or the system's; null: it has none. */
  readonly code: string | null;
  readonly cause: ToldError | null;
}

/** Some errors of kafkajs are their own cause. */
const CAUSES_MAX = 5;

export function tellError(error: Error, causesMax = CAUSES_MAX): ToldError {
  const { name, message, stack, cause } = error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  const told = cause instanceof Error && causesMax > 0 ? tellError(cause, causesMax - 1) : null;
  return { name, message, stack, code, cause: told };
}

/** One of ours again. */
export function heardError({ code, message, cause }: ToldError): OnelaneError {
  const Known = OURS.get(code ?? '') ?? BrokenInvariant;
  return new Known(message, cause === null ? undefined : { cause: heardCause(cause) });
}

type Ours = new (sentence: string, options?: { readonly cause?: unknown }) => OnelaneError;

const OURS: ReadonlyMap<string, Ours> = new Map<string, Ours>([
  ['broker-away', BrokerAway],
  ['broker-login-refused', BrokerLoginRefused],
  ['broker-right-missing', BrokerRightMissing],
  ['broker-tls-failed', BrokerTlsFailed],
  ['topic-missing', TopicMissing],
  ['compression-unknown', CompressionUnknown],
  ['lane-silent', LaneSilent],
]);

function heardCause({ name, message, stack, code, cause }: ToldError): Error {
  const error = new Error(message, cause === null ? undefined : { cause: heardCause(cause) });
  return Object.assign(error, { name, stack, ...(code === null ? {} : { code }) });
}
