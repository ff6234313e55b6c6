// Proves that a process whose event loop stands still ends itself, and that one which was merely stopped does not.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setTimeout as passing } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../shared/process/time.ts';

const LIMIT_MS = 600;
const PROGRAM = fileURLToPath(new URL('../../support/consumers/watched-process.ts', import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function watched(act: 'loop' | 'microtasks' | 'answer' | 'rest' | 'stop', limitMs = LIMIT_MS) {
  const child = spawn(process.execPath, ['--import', 'jiti/register', PROGRAM, String(limitMs), act]);
  children.push(child);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value;
  const ended = once(child, 'exit');
  return { child, line, stderr: () => stderr, ended };
}

for (const act of ['loop', 'microtasks'] as const) {
  test(`a process in an endless loop of ${act} says so in one line and is killed`, async () => {
    const { line, stderr, ended } = watched(act);
    expect(await line()).toBe('ready');
    const startedMs = systemClock.monotonicMs();
    expect(await ended).toEqual([null, 'SIGKILL']);
    const tookMs = systemClock.monotonicMs() - startedMs;
    expect(tookMs).toBeGreaterThan(LIMIT_MS * 0.8);
    expect(tookMs).toBeLessThan(LIMIT_MS * 10);
    expect(stderr().trim().split('\n')).toEqual([expect.stringContaining('has not turned for 600 ms')]);
  });
}

const IN_A_CONTAINER = ['--pid', '--fork', '--mount-proc', '--kill-child', process.execPath];
const canUnshare = spawnSync('unshare', [...IN_A_CONTAINER, '--version']).status === 0;

test.skipIf(!canUnshare)('process 1 of a container, which no signal kills, ends all the same', async () => {
  const child = spawn('unshare', [...IN_A_CONTAINER, '--import', 'jiti/register', PROGRAM, String(LIMIT_MS), 'loop']);
  children.push(child);
  expect(await once(child, 'exit')).toEqual([null, 'SIGTRAP']);
});

test('a process that was stopped for five times the limit and goes on is left in peace', async () => {
  // More than others that run beside it may keep the event loop from turning.
  const limitMs = 1_500;
  const { child, line, stderr, ended } = watched('answer', limitMs);
  expect(await line()).toBe('ready');
  child.stdin.write('?\n');
  expect(await line()).toBe('here');
  child.kill('SIGSTOP');
  // Time itself is what this test is about.
  await passing(5 * limitMs);
  child.kill('SIGCONT');
  for (let round = 0; round < 3; round++) {
    await passing(limitMs / 2);
    child.stdin.write('?\n');
    expect(await line()).toBe('here');
  }
  child.kill('SIGTERM');
  expect(await ended).toEqual([null, 'SIGTERM']);
  expect(stderr()).toBe('');
});

test('the watchdog alone keeps no process alive', async () => {
  const { line, ended } = watched('rest');
  expect(await line()).toBe('ready');
  expect(await ended).toEqual([0, null]);
});

test('a watchdog that was stopped bites nobody', async () => {
  const { line, ended } = watched('stop');
  expect(await line()).toBe('ready');
  expect(await line()).toBe('survived');
  expect(await ended).toEqual([0, null]);
});
