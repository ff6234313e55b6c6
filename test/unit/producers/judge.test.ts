// Proves the verdict on what was read for one command.
import { describe, expect, it } from 'vitest';
import { judge, type Sought } from '../../../producers/judge.ts';
import {
  newCommandId,
  partition,
  position,
  resourceKey,
  revision,
  trustedContent,
  trustedTypeName,
} from '../../../shared/command/identity.ts';
import type { RecordedOutcome } from '../../../shared/command/outcome.ts';

const id = newCommandId();
const key = (subject: string) => resourceKey(trustedTypeName('account'), subject);
const recorded = (subject: string, content = 'aa'): RecordedOutcome => ({
  id,
  key: key(subject),
  content: trustedContent(content),
  outcome: { kind: 'applied', revision: revision(1), reply: null },
});
const full: Sought = {
  id,
  key: key('1'),
  content: trustedContent('aa'),
  partition: partition(2),
  position: position(10),
};
const byId: Sought = { id, key: null, content: null, partition: null, position: null };
const reached = (next: number | null) => new Map([[partition(2), next === null ? null : position(next)]]);
const NOWHERE = new Map();

describe('judge', () => {
  it('finds the outcome of the resource that is meant, whoever else used the id', () => {
    expect(judge(full, [recorded('2', 'bb'), recorded('1')], NOWHERE)).toMatchObject({
      kind: 'outcome',
      recorded: { key: 'account/1' },
    });
  });

  it('refuses an outcome of other content', () => {
    expect(judge(full, [recorded('1', 'bb')], NOWHERE).kind).toBe('id-reused');
  });

  it('takes any content when none is known', () => {
    expect(judge({ ...full, content: null }, [recorded('1', 'bb')], NOWHERE).kind).toBe('outcome');
  });

  it.each([
    [null, 'pending'],
    [0, 'pending'],
    [10, 'pending'],
    [11, 'nothing'],
  ])('with nothing recorded and the lane at %s it is %s', (next, kind) => {
    expect(judge(full, [], reached(next)).kind).toBe(kind);
  });

  it('is pending although another resource has the id, until the lane has passed it', () => {
    expect(judge(full, [recorded('2')], reached(10)).kind).toBe('pending');
    expect(judge(full, [recorded('2')], reached(11)).kind).toBe('id-reused');
    expect(judge(full, [recorded('2')], NOWHERE)).toEqual({ kind: 'elsewhere', keys: ['account/2'] });
  });

  it('by the id alone finds the only one, and tells when there are several', () => {
    expect(judge(byId, [recorded('2')], NOWHERE).kind).toBe('outcome');
    expect(judge(byId, [recorded('1'), recorded('2')], NOWHERE)).toEqual({
      kind: 'elsewhere',
      keys: ['account/1', 'account/2'],
    });
    expect(judge(byId, [], NOWHERE).kind).toBe('nothing');
  });
});
