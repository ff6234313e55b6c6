// Owns the log's provisioning: at once where the broker answers, else as soon as it does, before anything is opened on it.
import { asError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import { BrokerAway } from '../../shared/transport/broker-away.ts';
import type { Transport } from '../../shared/transport/transport.ts';

/**
 * A broker that is away now is like one that goes away later: it is told at once, the process starts, and everything waits for it.
 * Throws what waiting does not help, such as a log with another number of partitions.
 */
export async function provisioned(transport: Transport, partitions: number, observe: Observe): Promise<Transport> {
  try {
    await transport.provision(partitions);
    return transport;
  } catch (thrown) {
    if (!(thrown instanceof BrokerAway)) throw thrown;
    observe({ kind: 'connection-lost', what: 'broker', cause: thrown });
    return provisionedLater(transport, partitions, observe);
  }
}

function provisionedLater(transport: Transport, partitions: number, observe: Observe): Transport {
  let provisioning: Promise<void> | null = null;
  const provision = async (): Promise<void> => {
    try {
      await transport.provision(partitions);
      observe({ kind: 'connection-restored', what: 'broker' });
    } catch (thrown) {
      provisioning = null;
      // What was waited for is there, and something else is wrong with it: nobody else would say so.
      if (!(thrown instanceof BrokerAway)) observe({ kind: 'connection-lost', what: 'broker', cause: asError(thrown) });
      throw thrown;
    }
  };
  const ready = (): Promise<void> => (provisioning ??= provision());
  return {
    traits: transport.traits,
    provision: (wanted) => transport.provision(wanted),
    openPublisher: async () => {
      await ready();
      return await transport.openPublisher();
    },
    openSubscription: async (mine) => {
      await ready();
      return await transport.openSubscription(mine);
    },
    ends: () => transport.ends(),
    close: () => transport.close(),
  };
}
