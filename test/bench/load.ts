// Owns the load that every contender gets: deposits over so many accounts, as events on the wire.
import { v7 as uuidv7 } from 'uuid';

export interface Load {
  readonly rows: number;
  readonly count: number;
}

/** Structured CloudEvents; the accounts in turn, so that each batch holds as many rows as it can. */
export function depositEvents({ rows, count }: Load): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, n) => depositEvent(1 + (n % rows)));
}

export function depositEvent(account: number): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id: uuidv7(),
      source: '/bench',
      type: 'account.deposit',
      subject: String(account),
      time: '2026-01-01T00:00:00.000Z',
      datacontenttype: 'application/json',
      data: { amount: 5 },
    }),
  );
}
