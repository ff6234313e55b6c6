// Owns the promise that a server does not outlive the process that owns it, where the kernel does not keep it.
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

export interface OrphanGuard {
  /** The server has ended, or is ended in good order: the guard must not signal its process id any more. Idempotent. */
  release(): void;
}

/** Waits for the end of a pipe that only we hold open: the kernel closes it however we die. */
const WATCHER = 'read _; kill -INT "$0" 2>/dev/null';

export function guardAgainstOrphan(pid: number, how: 'by-kernel' | 'by-watcher'): OrphanGuard {
  if (how === 'by-kernel') return { release: () => undefined };
  const watcher = spawn('/bin/sh', ['-c', WATCHER, String(pid)], {
    cwd: '/',
    detached: true,
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.on('error', () => undefined);
  watcher.unref();
  if (watcher.stdin instanceof Socket) watcher.stdin.unref();
  return {
    release: () => {
      // First the watcher, then its pipe: the other way round it would do its work.
      watcher.kill('SIGKILL');
      watcher.stdin.destroy();
    },
  };
}
