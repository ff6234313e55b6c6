// Owns where tests take RabbitMQ from: the environment, else this machine's own, else a container, else nowhere, for a reason.
import { installedRabbit, type Installed } from './installed.ts';
import { startRabbit, type NodeOptions, type RabbitNode } from './node.ts';

/** A broker that a test may use and not harm: it may serve others, so names are the test's own. */
export interface TestRabbit {
  readonly url: string;
  /** Stops what was started for the test. Idempotent. */
  close(): Promise<void>;
}

/** `shared`: a broker that others may use, too. `own`: a node of the test's own, which it may kill and order about. */
export type RabbitNeed = 'shared' | 'own';

export type RabbitSource =
  | { readonly kind: 'environment'; readonly url: string }
  | { readonly kind: 'machine'; readonly programs: Installed }
  | { readonly kind: 'container' }
  | { readonly kind: 'nowhere'; readonly why: string };

export async function rabbitSource(need: RabbitNeed): Promise<RabbitSource> {
  const url = process.env['RABBITMQ_URL'] ?? '';
  if (need === 'shared' && url !== '') return { kind: 'environment', url };
  const programs = installedRabbit();
  if (typeof programs !== 'string') return { kind: 'machine', programs };
  const why = `this machine lacks ${programs}, with which tests start a node`;
  if (need === 'own') return { kind: 'nowhere', why };
  const { whyNoContainers } = await import('../containers/servers.ts');
  const engine = await whyNoContainers();
  return engine === null
    ? { kind: 'container' }
    : { kind: 'nowhere', why: `RABBITMQ_URL is not set, ${why}, and ${engine}` };
}

/** A broker from wherever there is one; throws when there is none. */
export async function testRabbit(): Promise<TestRabbit> {
  const source = await rabbitSource('shared');
  switch (source.kind) {
    case 'environment':
      return { url: source.url, close: () => Promise.resolve() };
    case 'machine':
      return await startRabbit(source.programs);
    case 'container':
      return await containedRabbit();
    case 'nowhere':
      throw new Error(`there is no RabbitMQ: ${source.why}`);
  }
}

/** The test's own node, never the broker that the environment names; throws where none can be started. */
export async function ownRabbit(options: NodeOptions = {}): Promise<RabbitNode> {
  const source = await rabbitSource('own');
  if (source.kind !== 'machine') throw new Error(`there is no RabbitMQ: ${'why' in source ? source.why : source.kind}`);
  return await startRabbit(source.programs, options);
}

async function containedRabbit(): Promise<TestRabbit> {
  const { rabbitmq } = await import('../containers/servers.ts');
  const started = await rabbitmq.start();
  let closed: Promise<void> | undefined;
  return { url: started.address, close: () => (closed ??= started.stop()) };
}
