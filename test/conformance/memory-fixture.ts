// Owns the memory transport as the suite sees it; shared by its conformance file and by the sabotage of the suite.
import { newUuid } from '../../shared/command/identity.ts';
import {
  createMemoryLog,
  memoryTransport,
  type MemoryLog,
  type PublishFault,
} from '../../shared/transport/memory/index.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { cannot, type ConformanceFixture } from './suite/fixture.ts';

/** `wrap` may change what the transport does: the suite must notice. */
export function memoryFixture(wrap: (transport: Transport, log: MemoryLog) => Transport = same): ConformanceFixture {
  return {
    name: 'memory',
    traits: { positions: 'stored', assigns: 'by-lease', carriedBy: 'the log in memory' },
    abilities: ['away', 'lost-answers', 'recreate', 'recreate-live', 'truncate'],
    patienceMs: 5_000,
    quietMs: 30,
    bundle: () => {
      const log = createMemoryLog();
      const systemId = newUuid();
      return Promise.resolve({
        systemId,
        openProcess: () => {
          let fault: PublishFault = 'none';
          const transport = wrap(memoryTransport(log, { systemId, onPublish: () => fault }), log);
          return soon({
            transport,
            cut: () => soon(log.cut()),
            loseAnswers: () => soon(void (fault = 'unknown-stored')),
            restore: () => {
              fault = 'none';
              return soon(log.restore());
            },
            connections: cannot,
            inboxBytes: cannot,
            close: () => soon(undefined),
          });
        },
        recreate: () => soon(log.recreate()),
        truncate: (partition, before) => soon(log.truncate(partition, before)),
        close: () => soon(undefined),
      });
    },
  };
}

const same = (transport: Transport): Transport => transport;
const soon = <T>(value: T): Promise<T> => Promise.resolve(value);
