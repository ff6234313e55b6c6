// Owns the base of every error class: a literal code and a sentence that says what to do.

/** Base of our errors. Subclasses declare `readonly code = '…' as const`; nobody reads message texts. */
export abstract class OnelaneError extends Error {
  abstract readonly code: string;

  constructor(sentence: string, options?: { readonly cause?: unknown }) {
    super(sentence, options);
    this.name = new.target.name;
  }
}

/** What cannot be. It halts the lane, it never parks a command. */
export class BrokenInvariant extends OnelaneError {
  readonly code = 'broken-invariant' as const;
}

export function invariant(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new BrokenInvariant(`this cannot be, please report it: ${sentence}`);
}

/** The compiler's proof that a switch over a tagged union is complete. */
export function unreachable(value: never): never {
  throw new BrokenInvariant(`this cannot be, please report it: no case for ${JSON.stringify(value)}`);
}

/** `unknown` as a caught value is; an Error stays itself. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`thrown: ${String(thrown)}`, { cause: thrown });
}
