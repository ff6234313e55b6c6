// Owns what an adapter's test file must bring, so that the suite can ask everything of it and change nothing for it.
import type { Partition, Position, Uuid } from '../../../shared/command/identity.ts';
import type { Transport } from '../../../shared/transport/transport.ts';

/** What a test can do to the log; a case that needs what cannot be done does not apply. */
export type Ability =
  /** The log can be taken away from a process and given back. */
  | 'away'
  /** Answers to a process can get lost while its requests get through. */
  | 'lost-answers'
  /** The log can be deleted and made again. */
  | 'recreate'
  /** The same under a running lane, and the adapter can notice. */
  | 'recreate-live'
  /** The beginning of a partition can be removed, as its retention would. */
  | 'truncate'
  /** Connections of a process can be counted. */
  | 'connections'
  /** Bytes that a subscription has read ahead can be counted. */
  | 'inbox-bytes';

/** Traits and abilities, declared: the suite checks that the traits are the transport's own. */
export type Need = Ability | 'stored-positions' | 'by-lease';

export interface ConformanceFixture {
  readonly name: string;
  readonly traits: Transport['traits'];
  readonly abilities: readonly Ability[];
  /** How long the suite waits for what must come; generous, as it is spent only on failures. */
  readonly patienceMs: number;
  /** How long it waits to see that nothing comes. */
  readonly quietMs: number;
  /** A log of its own, not provisioned yet. */
  bundle(options: { readonly partitions: number }): Promise<LogUnderTest>;
}

export interface LogUnderTest {
  readonly systemId: Uuid;
  /** A transport that acts as a process of its own. */
  openProcess(options?: { readonly inboxBytesMax?: number }): Promise<ProcessUnderTest>;
  /** `recreate`: deleted and made again, with the same number of partitions, empty. */
  recreate(): Promise<void>;
  /** `truncate`: every entry before `before` is gone, and no other. */
  truncate(partition: Partition, before: Position): Promise<void>;
  /** Everything of this log. Called last. */
  close(): Promise<void>;
}

export interface ProcessUnderTest {
  readonly transport: Transport;
  /** `away`. Returns when the log is out of reach. */
  cut(): Promise<void>;
  /** `lost-answers`. */
  loseAnswers(): Promise<void>;
  /** Ends `cut` and `loseAnswers`; connections whose answers got lost break. */
  restore(): Promise<void>;
  /** `connections`: how many stand. */
  connections(): number;
  /** `inbox-bytes`: what all lanes of this process have read ahead and not handed out. */
  inboxBytes(): number;
  /** After its publishers, subscriptions and transport were closed. */
  close(): Promise<void>;
}

/** For fixtures that cannot do something and have not declared it. */
export function cannot(): never {
  throw new Error('this fixture has not declared that it can do this');
}
