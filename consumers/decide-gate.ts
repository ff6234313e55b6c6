// Owns the order of deciding within one process: while one entry is decided under suspicion, no other lane decides.

/**
 * A process may die of one command. Its neighbours must not be blamed, so a lane that marks an entry is alone from before the
 * mark is committed until its `decide` has finished. Everybody else takes a pass per batch.
 *
 *   free ──exclusive()──▶ closing (no new passes; waits for those that are out) ──▶ taken ──release──▶ free
 *
 * Fair: after a holder, everybody who had waited for a pass gets one before the next holder, and holders come in turn.
 */
export interface DecideGate {
  /**
   * Right to decide one batch. Taken before a database client is borrowed and handed back when the plan is made, whatever came of
   * it: whoever waits for the gate with a client in hand can keep the holder from ever getting one. A promise only when the
   * gate is closed, so that ordinary work pays one call.
   */
  pass(): Release | Promise<Release>;
  /** Right to be the only one. Hand it back in a `finally`: a holder that throws must not close the process. */
  exclusive(): Promise<Release>;
}

/** Idempotent. */
export type Release = () => void;

export function decideGate(): DecideGate {
  return new Gate();
}

class Gate implements DecideGate {
  #passesOut = 0;
  #isTaken = false;
  #passesWaiting: ((release: Release) => void)[] = [];
  readonly #holdersWaiting: ((release: Release) => void)[] = [];

  pass(): Release | Promise<Release> {
    if (!this.#isTaken && this.#holdersWaiting.length === 0) return this.#givePass();
    return new Promise((resolve) => this.#passesWaiting.push(resolve));
  }

  exclusive(): Promise<Release> {
    return new Promise((resolve) => {
      this.#holdersWaiting.push(resolve);
      this.#turn();
    });
  }

  #givePass(): Release {
    this.#passesOut++;
    return once(() => {
      this.#passesOut--;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#isTaken || this.#passesOut > 0) return;
    const holder = this.#holdersWaiting.shift();
    if (holder === undefined) return;
    this.#isTaken = true;
    holder(once(() => this.#reopen()));
  }

  /** Those who waited go first; the next holder comes when their passes are back. */
  #reopen(): void {
    this.#isTaken = false;
    const waiting = this.#passesWaiting;
    this.#passesWaiting = [];
    for (const resolve of waiting) resolve(this.#givePass());
    this.#turn();
  }
}

function once(act: () => void): Release {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
}
