// Owns the way to brokers through gates of a test: each by the address that the brokers tell.
import type { Detours } from '../../../shared/transport/kafka/client.ts';
import type { TcpGate } from '../tcp-gate.ts';

/** `gates`: by the `host:port` of the broker that each stands before. */
export function detoursThrough(gates: ReadonlyMap<string, Pick<TcpGate, 'url'>>): Detours {
  return new Map(
    [...gates].map(([broker, { url }]) => [broker, { host: '127.0.0.1', port: Number(new URL(url).port) }]),
  );
}
