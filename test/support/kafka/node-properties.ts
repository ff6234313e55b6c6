// Owns a broker's settings: addresses on loopback, a small and quick cluster, and changes of leaders within seconds.

export interface NodePorts {
  /** Where clients find it: bound here, told as `advertised`. */
  readonly client: number;
  readonly advertised: number;
  /** Between the nodes, and for a test's own look past every proxy. */
  readonly internal: number;
  readonly controller: number;
  readonly sasl: number;
  readonly tls: number;
}

export interface NodeLayout {
  readonly id: number;
  readonly nodes: readonly NodePorts[];
  readonly logs: string;
  readonly listeners: readonly Listener[];
}

export type Listener = 'CLIENT' | 'INTERNAL' | 'SASL' | 'TLS';

const PROTOCOL = { CLIENT: 'PLAINTEXT', INTERNAL: 'PLAINTEXT', SASL: 'SASL_SSL', TLS: 'SSL' } as const;

export function nodeProperties(layout: NodeLayout): Readonly<Record<string, string>> {
  const { id, nodes, listeners } = layout;
  const own = portsOf(layout);
  const bound = { CLIENT: own.client, INTERNAL: own.internal, SASL: own.sasl, TLS: own.tls };
  const told = { ...bound, CLIENT: own.advertised };
  const at = (ports: typeof bound) => listeners.map((name) => `${name}://127.0.0.1:${ports[name]}`).join(',');
  return {
    'process.roles': 'broker,controller',
    'node.id': String(id),
    'controller.quorum.voters': nodes.map((node, at) => `${at + 1}@127.0.0.1:${node.controller}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'INTERNAL',
    listeners: `${at(bound)},CONTROLLER://127.0.0.1:${own.controller}`,
    'advertised.listeners': at(told),
    'listener.security.protocol.map': [
      'CONTROLLER:PLAINTEXT',
      ...listeners.map((name) => `${name}:${PROTOCOL[name]}`),
    ].join(','),
    'log.dirs': layout.logs,
    ...small(nodes.length),
    ...QUICK,
  };
}

function portsOf({ id, nodes }: NodeLayout): NodePorts {
  const own = nodes[id - 1];
  if (own === undefined) throw new Error(`there is no node ${id}`);
  return own;
}

function small(nodes: number): Readonly<Record<string, string>> {
  const replicas = String(nodes);
  const insync = nodes === 3 ? '2' : '1';
  return {
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replicas,
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': insync,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': insync,
    'log.cleaner.dedupe.buffer.size': String(16 * 1024 * 1024),
    'num.network.threads': '2',
  };
}

/** A node that is gone is missed within 2 seconds, as a broker and as the controller. */
const QUICK: Readonly<Record<string, string>> = {
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'broker.heartbeat.interval.ms': '250',
  'broker.session.timeout.ms': '2000',
  'controller.quorum.fetch.timeout.ms': '1500',
  'controller.quorum.election.timeout.ms': '500',
  'controller.quorum.election.backoff.max.ms': '300',
};
