// Owns how the tests run: one project for each folder, two files at a time, no second chances.
import { defineConfig } from 'vitest/config';

const SECOND = 1_000;

interface Limits {
  readonly testTimeout: number;
  readonly hookTimeout: number;
}

/** What kills brokers, takes three of them, or a whole system on Kafka: minutes, which `npm test` has not. */
const ON_KAFKA = [
  'test/conformance/kafka-three.test.ts',
  'test/scenario/**/kafka*.test.ts',
  'test/simulation/kafka-*.test.ts',
];

/** The same on RabbitMQ, whose nodes take seconds to start. */
const ON_RABBITMQ = ['test/scenario/**/rabbitmq*.test.ts', 'test/simulation/rabbitmq-*.test.ts'];

function project(name: string, limits: Limits) {
  const files = { include: [`test/${name}/**/*.test.ts`], exclude: [...ON_KAFKA, ...ON_RABBITMQ] };
  return { extends: true as const, test: { name, ...files, ...limits } };
}

function onBroker(name: string, include: readonly string[], limits: Limits) {
  return { extends: true as const, test: { name, include: [...include], ...limits } };
}

/** The simulation with the full counts of faults and commands: minutes for each. */
function fullFaults(limits: Limits) {
  const { extends: whole, test } = project('simulation', limits);
  return { extends: whole, test: { ...test, name: 'faults', exclude: [], env: { ONELANE_FAULTS: 'full' } } };
}

/** The conformance suites once more, on servers that run in containers. */
function inContainers(limits: Limits) {
  const { extends: whole, test } = project('conformance', limits);
  return {
    extends: whole,
    test: { ...test, name: 'containers', globalSetup: 'test/support/containers/global-setup.ts' },
  };
}

export default defineConfig({
  test: {
    globalSetup: 'test/support/global-setup.ts',
    pool: 'forks',
    maxWorkers: 2,
    retry: 0,
    projects: [
      project('unit', { testTimeout: 30 * SECOND, hookTimeout: 60 * SECOND }),
      project('property', { testTimeout: 120 * SECOND, hookTimeout: 60 * SECOND }),
      project('conformance', { testTimeout: 60 * SECOND, hookTimeout: 60 * SECOND }),
      project('scenario', { testTimeout: 120 * SECOND, hookTimeout: 120 * SECOND }),
      project('simulation', { testTimeout: 180 * SECOND, hookTimeout: 120 * SECOND }),
      onBroker('kafka', ON_KAFKA, { testTimeout: 180 * SECOND, hookTimeout: 120 * SECOND }),
      onBroker('rabbitmq', ON_RABBITMQ, { testTimeout: 180 * SECOND, hookTimeout: 120 * SECOND }),
      inContainers({ testTimeout: 60 * SECOND, hookTimeout: 120 * SECOND }),
      fullFaults({ testTimeout: 1_800 * SECOND, hookTimeout: 300 * SECOND }),
    ],
  },
});
