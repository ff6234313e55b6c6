// Proves what a fault run may conclude from what its consumers tell, in whichever order it arrives.
import { describe, expect, test } from 'vitest';
import { Ticker } from '../../support/simulation/ticker.ts';

const bundle = () => {
  const ticker = new Ticker();
  const claimed = (child: string, epoch: number) =>
    ticker.hear(child, { kind: 'claimed', partition: 0, epoch, claims: 1 });
  const released = (child: string, epoch: number) => ticker.hear(child, { kind: 'released', partition: 0, epoch });
  const lost = (child: string, epoch: number) => ticker.hear(child, { kind: 'lost', partition: 0, epoch, reason: 'x' });
  return { ticker, claimed, released, lost };
};

describe('a tenure', () => {
  test('is taken over when its holder told no end of it and somebody claimed anew', () => {
    const { ticker, claimed } = bundle();
    claimed('a', 1);
    expect(ticker.heldBy('a')).toEqual([0]);
    expect(ticker.succeeded('a', 'open')).toBe(0);
    claimed('b', 2);
    expect(ticker.succeeded('a', 'open')).toBe(1);
    expect(ticker.heldBy('a')).toEqual([]);
  });

  test('is not taken over when its release is heard after the claim that followed it', () => {
    const { ticker, claimed, released } = bundle();
    claimed('a', 1);
    claimed('b', 2);
    released('a', 1);
    expect(ticker.succeeded('a', 'open')).toBe(0);
    expect(ticker.succeeded('a', 'released')).toBe(1);
    expect(ticker.heldBy('b')).toEqual([0]);
  });

  test('that is claimed before an older claim is heard stays the newest', () => {
    const { ticker, claimed, lost } = bundle();
    claimed('b', 2);
    claimed('a', 1);
    expect(ticker.heldBy('b')).toEqual([0]);
    lost('a', 1);
    expect(ticker.succeeded('a', 'lost')).toBe(1);
    expect(ticker.heldBy('b')).toEqual([0]);
  });

  test('that two claim with one epoch is a violation', () => {
    const { ticker, claimed } = bundle();
    claimed('a', 1);
    claimed('b', 1);
    expect(ticker.violations).toEqual(['epoch 0/1 was claimed by a and again by b']);
  });
});
