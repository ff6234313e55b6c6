// Owns a way to PostgreSQL on which one answer can be lost: relays everything, and breaks the connection in place of the next COMMIT's answer.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface AnswerThief {
  readonly url: string;
  /** The next transaction that commits will have been committed, and nobody hears of it. */
  stealNextCommit(): void;
  close(): Promise<void>;
}

export async function answerThief(serverUrl: string): Promise<AnswerThief> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let isArmed = false;
  const server = createServer((near) => {
    const far = connect(Number(target.port || 5432), target.hostname);
    const breakOff = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', breakOff).on('close', () => {
        sockets.delete(socket);
        breakOff();
      });
    }
    near.on('data', (sent: Buffer) => far.write(sent));
    far.on('data', (answered: Buffer) => {
      if (isArmed && answered.includes('COMMIT\0')) {
        isArmed = false;
        breakOff();
      } else near.write(answered);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  // A listening TCP server has this kind of address.
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    stealNextCommit: () => void (isArmed = true),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
