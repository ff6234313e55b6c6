// Owns what becomes of tests whose server is nowhere: skipped with one loud line, which under CI is a failure.
import { describe, test } from 'vitest';

/** `a`: “a Kafka broker”. `why`: half a sentence, why there is none; null: there is one. */
export function describeWhere(a: string, why: string | null, name: string, tests: () => void): void {
  if (why === null) {
    describe(name, tests);
    return;
  }
  const sentence = `there is no ${a.replace(/^an? /, '')} for “${name}”: ${why}`;
  if (isDemanded()) {
    test(`${name}: there is ${a}`, () => {
      throw new Error(sentence);
    });
    return;
  }
  process.stderr.write(`SKIPPED: ${sentence}\n`);
  describe.skipIf(true)(name, tests);
}

/** Where nobody reads a line, nothing is skipped. */
function isDemanded(): boolean {
  const ci = process.env['CI'] ?? '';
  return ci !== '' && ci !== 'false' && ci !== '0';
}
