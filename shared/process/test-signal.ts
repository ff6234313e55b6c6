// Owns the named points of the lane at which a fault test may strike; a no-op until a test listens.

export type LaneSignal = 'taken' | 'planned' | 'before-commit' | 'committed' | 'before-settle';

/** Awaited by the lane only when it returns a promise, so that production pays one call. */
export type ReachSignal = (signal: LaneSignal, partition: number) => Promise<void> | undefined;

export const noSignal: ReachSignal = () => undefined;
