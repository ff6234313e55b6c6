// Proves the table of verdicts: which error of a database parks a command, which waits, which plans again.
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { classify } from '../../../consumers/failure/classify.ts';
import { StatementTooLarge } from '../../../shared/resources/array-text.ts';
import { DatabaseWentBack, TenureLost } from '../../../consumers/lane/batch-store.ts';

const OURS = { schema: 'onelane' };

function serverError(code: string, where: { schema?: string; table?: string; constraint?: string } = {}): Error {
  const error = new pg.DatabaseError('as the server says it', 100, 'error');
  return Object.assign(error, { code, severity: 'ERROR', ...where });
}

const kindOf = (code: string, where = {}): string => classify(serverError(code, where), OURS).kind;

describe('classify', () => {
  it.each([
    '21000',
    '22001',
    '22021',
    '22P02',
    '23502',
    '23514',
    '27000',
    '38000',
    '39000',
    '44000',
    '54000',
    'P0001',
    'P0002',
  ])('takes %s for a refusal of a command', (code) => {
    expect(kindOf(code, { schema: 'public', table: 'account' })).toBe('refusal');
  });

  it.each(['A0001', 'T0042', '99001', 'MY123', 'OL002'])(
    'takes %s, a code of somebody’s own, for a refusal',
    (code) => {
      expect(kindOf(code)).toBe('refusal');
    },
  );

  it.each([
    '08006',
    '25006',
    '25P03',
    '28P01',
    '3D000',
    '3F000',
    '42P01',
    '42501',
    '53100',
    '53300',
    '57P01',
    '57P03',
    '58030',
    'XX000',
    '0B000',
    'HV000',
  ])('takes %s for an outage, or an unlisted code for one', (code) => {
    expect(kindOf(code)).toBe('outage');
  });

  it.each(['40001', '40P01', '55P03', 'OL001'])('plans again after %s', (code) => {
    expect(classify(serverError(code), OURS)).toEqual({ kind: 'plan-again', sqlstate: code, fresh: 'rows' });
  });

  it('plans again on another connection after a changed cached plan', () => {
    expect(classify(serverError('0A000'), OURS)).toEqual({
      kind: 'plan-again',
      sqlstate: '0A000',
      fresh: 'connection',
    });
  });

  it.each(['23505', '23514'])('never blames a command for %s in a table of our own', (code) => {
    expect(kindOf(code, { schema: 'onelane', table: 'ledger' })).toBe('plan-again');
    expect(kindOf(code, { schema: 'onelane', table: 'ledger_-1000_2000' })).toBe('plan-again');
    expect(kindOf(code, { schema: 'shop', table: 'ledger' })).toBe('refusal');
  });

  it.each(['23505', '23514', '23503'])(
    'takes %s for a refusal in a developer’s table that lies beside ours',
    (code) => {
      expect(kindOf(code, { schema: 'onelane', table: 'account' })).toBe('refusal');
      // A domain's constraint: it has a schema, and no table.
      expect(kindOf(code, { schema: 'onelane' })).toBe('refusal');
    },
  );

  it('takes the statement timeout for too much at once', () => {
    expect(kindOf('57014')).toBe('too-slow');
  });

  it('takes a statement that would be too large for too much at once, and no other error of ranges', () => {
    expect(classify(new StatementTooLarge('it is too large'), OURS)).toEqual({
      kind: 'too-slow',
      failure: { code: 'refused-by-database', detail: 'it is too large' },
    });
    expect(classify(new RangeError('Invalid time value'), OURS).kind).toBe('bug');
  });

  it('takes what the server did not say for an outage', () => {
    expect(classify(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }), OURS).kind).toBe('outage');
    expect(classify(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }), OURS).kind).toBe('outage');
    expect(classify(new Error('Connection terminated unexpectedly'), OURS).kind).toBe('outage');
    expect(classify('a thrown string', OURS).kind).toBe('outage');
  });

  it('tells a bug from an outage, because waiting would not mend it', () => {
    expect(classify(new TypeError('undefined is not a function'), OURS).kind).toBe('bug');
  });

  it('knows a lost tenure and a database that went back', () => {
    expect(classify(new TenureLost('another is in'), OURS).kind).toBe('lost');
    expect(classify(new DatabaseWentBack('rolled back'), OURS).kind).toBe('went-back');
  });

  it('says in one storable sentence what the database refused', () => {
    const verdict = classify(
      serverError('23514', { schema: 'public', table: 'account', constraint: 'not_negative' }),
      OURS,
    );
    expect(verdict).toEqual({
      kind: 'refusal',
      failure: {
        code: 'refused-by-database',
        sqlstate: '23514',
        detail: 'the database refused it with 23514 (constraint not_negative) on table account: as the server says it',
      },
    });
  });
});
