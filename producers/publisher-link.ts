// Owns the one publisher of this process: opened with back-off for as long as it takes, replaced when it breaks its promise.
import { asError } from '../shared/process/errors.ts';
import type { Observe } from '../shared/process/events.ts';
import { backoffMs, type Clock, type Random } from '../shared/process/time.ts';
import type { Publisher, PublishResult, Routed, Transport } from '../shared/transport/transport.ts';
import { awayReason } from './outage-words.ts';

export interface PublisherLink {
  isOpen(): boolean;
  /** Never rejects. Without a publisher every entry is refused, certainly not stored. */
  publish(batch: readonly Routed[]): Promise<readonly PublishResult[]>;
  /** Resolves after the first attempt to open, whether it went well or not. */
  readonly firstAttempt: Promise<void>;
  close(): Promise<void>;
}

export interface LinkGiven {
  readonly transport: Pick<Transport, 'openPublisher' | 'traits'>;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
  /** Called whenever a publisher has been opened. */
  onOpen(): void;
}

export function openPublisherLink(given: LinkGiven): PublisherLink {
  const link = new Link(given);
  return link;
}

class Link implements PublisherLink {
  readonly firstAttempt: Promise<void>;
  private readonly given: LinkGiven;
  private readonly stop = new AbortController();
  private current: Publisher | null = null;
  private opening: Promise<void>;
  private attempted: () => void = () => undefined;

  constructor(given: LinkGiven) {
    this.given = given;
    this.firstAttempt = new Promise((resolve) => (this.attempted = resolve));
    this.opening = this.open();
  }

  isOpen(): boolean {
    return this.current !== null && (this.current.takes?.() ?? true);
  }

  async publish(batch: readonly Routed[]): Promise<readonly PublishResult[]> {
    const publisher = this.current;
    if (publisher === null) {
      const reason = awayReason(this.given.transport.traits.carriedBy);
      return batch.map(() => ({ kind: 'refused', reason, retry: true }));
    }
    try {
      return await publisher.publish(batch);
    } catch (thrown) {
      // The seam says that it never rejects; one that does is not asked again.
      const cause = asError(thrown);
      this.replace(publisher);
      return batch.map(() => ({ kind: 'unknown', cause }));
    }
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.opening;
    const publisher = this.current;
    this.current = null;
    await publisher?.close();
  }

  private replace(broken: Publisher): void {
    if (this.current !== broken) return;
    this.current = null;
    this.opening = this.closeQuietly(broken).then(() => this.open());
  }

  private async closeQuietly(publisher: Publisher): Promise<void> {
    await publisher.close().catch((cause: unknown) => {
      this.given.observe({ kind: 'connection-lost', what: 'publisher', cause: asError(cause) });
    });
  }

  /** Retries every failure, with back-off, until it is open or we stop. */
  private async open(): Promise<void> {
    const { transport, observe, clock, random } = this.given;
    for (let attempt = 1; !this.stop.signal.aborted; attempt++) {
      try {
        this.current = await transport.openPublisher();
        if (attempt > 1) observe({ kind: 'connection-restored', what: 'publisher' });
        this.attempted();
        this.given.onOpen();
        return;
      } catch (thrown) {
        if (attempt === 1) observe({ kind: 'connection-lost', what: 'publisher', cause: asError(thrown) });
        this.attempted();
        await clock.sleep(backoffMs(attempt, random), this.stop.signal);
      }
    }
    this.attempted();
  }
}
