// Owns the signals that end a long-running command: the first one asks, the second one does not wait.

export interface StopSignals {
  /** Resolves at the first SIGINT, SIGTERM or SIGHUP. */
  readonly asked: Promise<NodeJS.Signals>;
  isAsked(): boolean;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `atOnce` is called at the second signal, and must end the process. */
export function listenToSignals(atOnce: () => void): StopSignals {
  let count = 0;
  const asked = new Promise<NodeJS.Signals>((resolve) => {
    for (const name of SIGNALS) {
      process.on(name, () => {
        count++;
        if (count === 1) resolve(name);
        else atOnce();
      });
    }
  });
  return { asked, isAsked: () => count > 0 };
}
