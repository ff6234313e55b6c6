// Owns the end of a process whose event loop does not turn: an endless `decide` cannot be stopped from within its own thread.
import { Worker } from 'node:worker_threads';
import type { Service } from '../shared/process/service.ts';

export interface WatchdogGiven {
  /** How long the event loop may stand still. */
  readonly limitMs: number;
}

export const WATCHDOG_LIMIT_MS = 10_000;
const TICKS_PER_LIMIT = 40;

/**
 * A thread of its own counts its own ticks since the main thread's last beat. Ticks, not time: a process that was stopped and
 * continued, or a machine that slept, has stood still in both threads alike and is left in peace. Past the limit the thread
 * writes one line to stderr and kills the process; what was in flight is found by the next holder of each tenure.
 * Process 1 of a container is immune to signals from within, SIGKILL too; there a trap instruction does it.
 */
export function watchdog(given: WatchdogGiven): Service {
  let running: { readonly thread: Worker; readonly beat: NodeJS.Timeout; readonly cells: Int32Array } | null = null;
  return {
    name: 'watchdog',
    async start() {
      if (running !== null) return;
      const tickMs = Math.max(1, Math.floor(given.limitMs / TICKS_PER_LIMIT));
      const cells = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
      const workerData = { cells, tickMs, limitMs: given.limitMs };
      // stdout and stderr of a worker travel through the main thread, which may be stuck: the thread writes to the descriptor.
      const thread = new Worker(THREAD, { eval: true, workerData, name: 'onelane-watchdog', execArgv: [] });
      const beat = setInterval(() => Atomics.add(cells, BEAT, 1), tickMs);
      beat.unref();
      running = { thread, beat, cells };
      await online(thread);
      thread.unref();
    },
    async stop() {
      const stopping = running;
      running = null;
      if (stopping === null) return;
      clearInterval(stopping.beat);
      Atomics.store(stopping.cells, STOP, 1);
      Atomics.notify(stopping.cells, STOP);
      await stopping.thread.terminate();
    },
  };
}

const BEAT = 0;
const STOP = 1;

// Plain JavaScript in a string: the same from TypeScript sources and from the compiled tree, and nothing to find on disk.
const THREAD = `
const { workerData } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const { cells, tickMs, limitMs } = workerData;
const limit = Math.ceil(limitMs / tickMs);
let seen = Atomics.load(cells, ${BEAT});
let still = 0;
while (Atomics.load(cells, ${STOP}) === 0) {
  Atomics.wait(cells, ${STOP}, 0, tickMs);
  const beat = Atomics.load(cells, ${BEAT});
  still = beat === seen ? still + 1 : 0;
  seen = beat;
  if (still < limit || Atomics.load(cells, ${STOP}) !== 0) continue;
  try {
    writeSync(2, 'onelane: the event loop has not turned for ' + limitMs + ' ms, most likely in a decide that never returns; ending this process so that another one takes over and parks the command\\n');
  } finally {
    process.kill(process.pid, 'SIGKILL');
    Atomics.wait(cells, ${STOP}, 0, 1000);
    require('node:v8').setFlagsFromString('--allow-natives-syntax');
    new Function('%SystemBreak()')();
  }
}
`;

function online(thread: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    thread.once('online', resolve);
    // Stays: a later error of the thread ends the watchdog, not the process.
    thread.on('error', reject);
  });
}
