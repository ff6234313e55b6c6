// Owns the freezing of what a developer's `decide` is given, and the word on what cannot be frozen.

/** `open`: bytes, dates, maps and the like stand in it, which can be changed all the same. */
export type Freezing = 'frozen' | 'open';

/** Freezes objects and arrays all the way down; a `decide` that mutates what it was given throws instead. */
export function deepFreeze(value: unknown): Freezing {
  if (typeof value !== 'object' || value === null) return 'frozen';
  // Typed arrays with elements refuse to be frozen.
  if (ArrayBuffer.isView(value)) return 'open';
  Object.freeze(value);
  let freezing: Freezing = isPlain(value) ? 'frozen' : 'open';
  for (const name of Object.keys(value)) {
    const inner: unknown = Reflect.get(value, name);
    if (typeof inner === 'object' && deepFreeze(inner) === 'open') freezing = 'open';
  }
  return freezing;
}

/** All that such an object is lies in its properties. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
