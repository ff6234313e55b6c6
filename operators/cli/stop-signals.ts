// Owns the signals that end a long-running command: the first one asks, a second one does not wait.
import { systemClock } from '../../shared/process/time.ts';

export interface StopSignals {
  /** Resolves at the first SIGINT, SIGTERM or SIGHUP. */
  readonly asked: Promise<NodeJS.Signals>;
  isAsked(): boolean;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A terminal sends Ctrl-C to npm and to us, and npm passes it on: what comes so soon after the first is the same wish. */
const SAME_WISH_MS = 500;

/** `atOnce` is called at a second wish, and must end the process. */
export function listenToSignals(atOnce: () => void): StopSignals {
  let firstMs: number | null = null;
  const asked = new Promise<NodeJS.Signals>((resolve) => {
    for (const name of SIGNALS) {
      process.on(name, () => {
        const nowMs = systemClock.monotonicMs();
        if (firstMs === null) {
          firstMs = nowMs;
          resolve(name);
        } else if (nowMs - firstMs >= SAME_WISH_MS) {
          atOnce();
        }
      });
    }
  });
  return { asked, isAsked: () => firstMs !== null };
}
