// Entries in one block: each is what it was, its text is its bytes, and nobody else's memory is kept for it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { position } from '../../../shared/command/identity.ts';
import { BlockDelivery, blockOf } from '../../../shared/transport/entry-block.ts';

const ascii = fc.uint8Array({ max: 127, maxLength: 20 });
const any = fc.uint8Array({ maxLength: 20 });

describe('a block of entries', () => {
  test('holds each as it was', () => {
    const check = fc.property(fc.array(any), (entries) => {
      const block = blockOf(entries);
      const indexes = entries.map((_, index) => index);
      expect(block.count).toBe(entries.length);
      expect(indexes.map((index) => [...block.at(index)])).toEqual(entries.map((each) => [...each]));
      expect(indexes.map((index) => block.bytesOf(index))).toEqual(entries.map((each) => each.length));
    });
    fc.assert(check, { numRuns: 500, seed: 3 });
  });

  test('says their text when all of it is ASCII', () => {
    const check = fc.property(fc.array(ascii), (entries) => {
      const block = blockOf(entries);
      const texts = entries.map((each) => Buffer.from(each).toString());
      expect(entries.map((_, index) => block.textAt(index))).toEqual(texts);
    });
    fc.assert(check, { numRuns: 500, seed: 4 });
  });

  test('says no text when a character of it takes several bytes', () => {
    const block = blockOf([Buffer.from('plain'), Buffer.from('é')]);
    expect([block.textAt(0), block.textAt(1), block.textAt(0)]).toEqual([null, null, null]);
  });

  test('keeps nothing of what its entries were a part of', () => {
    const fetched = Buffer.from('first,second');
    const block = blockOf([fetched.subarray(0, 5), fetched.subarray(6)]);
    fetched.fill('x');
    expect(Buffer.from(block.at(1)).toString()).toBe('second');
    expect(block.at(1).buffer.byteLength).toBe(11);
  });

  test('has nothing behind its last', () => {
    const block = blockOf([Buffer.from('abc')]);
    expect([block.at(1).length, block.bytesOf(1), block.textAt(1)]).toEqual([0, 0, '']);
  });

  test('hands out deliveries that say where they stand', () => {
    const beside = { headers: { a: '1' }, appendedAt: new Date(5) };
    const delivery = new BlockDelivery(blockOf([Buffer.from('a'), Buffer.from('bc')]), 1, 2 ** 40, beside);
    const { headers, appendedAt, text } = delivery;
    expect([delivery.position, Buffer.from(delivery.bytes).toString(), text]).toEqual([position(2 ** 40), 'bc', 'bc']);
    expect({ headers, appendedAt }).toEqual(beside);
  });
});
