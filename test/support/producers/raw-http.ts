// Owns raw exchanges over a socket, for requests that no HTTP client would send.
import { connect } from 'node:net';

export interface RawAnswer {
  /** 0: the connection ended without an answer. */
  readonly status: number;
  readonly text: string;
}

/** Sends the bytes as they are and reads until the server closes, or has been silent for a moment after an answer. */
export function sendRaw(url: string, bytes: Uint8Array | string, quietMs = 150): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    const finish = () => {
      socket.destroy();
      resolve({ status: Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1] ?? 0), text });
    };
    socket.setTimeout(quietMs, finish);
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', finish).on('close', finish);
    socket.on('connect', () => socket.write(bytes));
  });
}
