// Owns how the tests run: one project for each folder, two files at a time, no second chances.
import { defineConfig } from 'vitest/config';

const SECOND = 1_000;

function project(name: string, limits: { readonly testTimeout: number; readonly hookTimeout: number }) {
  return { extends: true as const, test: { name, include: [`test/${name}/**/*.test.ts`], ...limits } };
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
      project('simulation', { testTimeout: 1_800 * SECOND, hookTimeout: 300 * SECOND }),
    ],
  },
});
