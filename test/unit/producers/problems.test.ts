// Proves that docs/problems.md and the code list the same problems, and that no other file knows status numbers.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { joined, PROBLEMS, problem, problemText } from '../../../producers/http/problem.ts';

const page = readFileSync('docs/problems.md', 'utf8');
const rows = [...page.matchAll(/^\| `([a-z-]+)`\s*\| ([0-9]{3})\s*\| (.+?)\s*\| (.+?)\s*\|$/gm)];

describe('docs/problems.md', () => {
  it('lists every code with its status, title and advice, and no other', () => {
    const documented = rows.map(([, code, status, title, advice]) => [code, Number(status), title, advice]);
    const known = Object.entries(PROBLEMS).map(([code, kind]) => [code, kind.status, kind.title, kind.advice]);
    expect(documented).toEqual(known);
  });
});

describe('problems', () => {
  it('are documents of RFC 9457 with a code and what to do', () => {
    expect(JSON.parse(problemText(problem('not-accepted', 'The broker is away.', { id: 'x' })))).toEqual({
      type: 'urn:onelane:problem:not-accepted',
      title: PROBLEMS['not-accepted'].title,
      status: 503,
      detail: `The broker is away. ${PROBLEMS['not-accepted'].advice}`,
      code: 'not-accepted',
      id: 'x',
    });
  });

  it('say what is wrong and what to do in sentences that end once, and nothing twice', () => {
    expect(joined('the balance is 525', 'Nothing was changed.')).toBe('the balance is 525. Nothing was changed.');
    expect(joined('not one revision in quotes..', 'Send one.')).toBe('not one revision in quotes. Send one.');
    expect(joined('', 'Send one.')).toBe('Send one.');
    expect(joined('Stale: read it again', 'Read it again.')).toBe('Stale: read it again.');
    expect(joined('Really?', 'Yes.')).toBe('Really? Yes.');
    for (const { advice } of Object.values(PROBLEMS)) expect(joined('It is so', advice)).not.toMatch(/\.\./);
  });

  it('name what to do in a sentence', () => {
    for (const kind of Object.values(PROBLEMS)) expect(kind.advice).toMatch(/^[A-Z].*\.$/);
  });

  it('ask for patience where nothing can be taken now', () => {
    const patient = Object.values(PROBLEMS).filter((kind) => kind.status === 429 || kind.status >= 503);
    expect(patient.filter((kind) => !('retryAfterSeconds' in kind))).toEqual([]);
  });
});

describe('status numbers', () => {
  it('stand in problem.ts only', () => {
    const files = readdirSync('producers', { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const numbered = files.filter((file) =>
      /\b(code|status)\(?:?\s*[1-5][0-9]{2}\b|sendJson\([^,]+, [1-5]/.test(readFileSync(`producers/${file}`, 'utf8')),
    );
    expect(numbered).toEqual(['http/problem.ts']);
  });
});
