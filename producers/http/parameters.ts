// Owns the parameters of paths and queries: which there are, what each must be, and the sentences that say so.
import { z } from 'zod';
import { pointed, type Problem } from './problem.ts';

const ID_MAX = 256;
const SOURCE_MAX = 1_024;
const KEY_MAX = 1_024;
const TOKEN_MAX = 4_096;
const NAME_SHOWN_MAX = 100;
/** Who asks to read a write wants it read: a wait is the default. */
const WAIT_AFTER_SECONDS = 5;

const upTo = (max: number) => z.string('must be given once').max(max, `has more than ${max} characters`);
const text = (max: number, whatToWrite = '') => upTo(max).min(1, `is empty${whatToWrite}`);

/** A longer wait than is offered becomes the longest, as in the header Prefer: whoever asks cannot know the setting. */
const waitSeconds = (waitMsMax: number, byDefault: number) =>
  z.coerce
    .number('must be a number of seconds')
    .min(0, 'must not be negative')
    .default(byDefault)
    .describe(
      `seconds to wait for the outcome, at most; more than ${waitMsMax / 1_000} counts as ${waitMsMax / 1_000}`,
    );

const source = text(SOURCE_MAX).optional().describe('of the command, where its id is a text of its own');

/** A name that is not known is refused: a misspelt wait, or command to read after, must not be ignored. */
const query = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? unknownAmong(Object.keys(shape)) : undefined),
  });

export const commandPath = z.object({
  id: text(ID_MAX, ': write /v1/commands/{id}, or /v1/commands without the slash at its end to post'),
});

export const commandQuery = (waitMsMax: number) =>
  query({
    after: upTo(TOKEN_MAX).optional().describe("the token in the Location of the command's 202"),
    resource: upTo(KEY_MAX).optional().describe('<resource type>/<id>, where several resources used the id'),
    source,
    wait: waitSeconds(waitMsMax, 0),
  });

export const resourcePath = z.object({
  type: z.string(),
  '*': z.string().min(1, 'is empty: write /v1/resources/{type}/{id}'),
});

export const resourceQuery = (waitMsMax: number) =>
  query({
    after: text(ID_MAX).optional().describe('the id of the command whose effect must be in what is read'),
    source,
    wait: waitSeconds(waitMsMax, WAIT_AFTER_SECONDS),
  });

export function waitMsOf({ wait }: { readonly wait: number }, waitMsMax: number): number {
  return Math.min(wait * 1_000, waitMsMax);
}

/** For a route that takes none; null when none was given. */
export function strayQuery(given: unknown): Problem | null {
  const names = typeof given === 'object' && given !== null ? Object.keys(given) : [];
  return names.length === 0 ? null : parametersProblem(names.map((name) => ({ name, detail: NO_QUERY })));
}

const NO_QUERY = 'is not known here: what is asked for stands in headers, such as Prefer: wait=5';

function unknownAmong(names: readonly string[]): string {
  return `is not known here: there are ${names.join(', ')}`;
}

/** What the validator found, as fastify is given it. */
export interface Invalid {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string | undefined;
  readonly params: Readonly<Record<string, unknown>>;
}

export function problemOfParameters(found: readonly Invalid[]): Problem {
  return parametersProblem(
    found.flatMap(({ keyword, instancePath, message = 'cannot be read', params }) => {
      const keys = keyword === 'unrecognized_keys' && Array.isArray(params['keys']) ? params['keys'] : null;
      // The rest of a path has no name in fastify; to callers it is the id.
      const names = keys?.map(String) ?? [instancePath === '/*' ? 'id' : instancePath.slice(1)];
      return names.map((name) => ({ name, detail: message }));
    }),
  );
}

function parametersProblem(wrong: readonly { readonly name: string; readonly detail: string }[]): Problem {
  const shown = wrong.slice(0, SHOWN_MAX).map(({ name, detail }) => ({ name: name.slice(0, NAME_SHOWN_MAX), detail }));
  return pointed(
    'query-invalid',
    shown.map(({ name, detail }) => `${name}: ${detail}.`).join(' '),
    shown.map(({ name, detail }) => ({ pointer: `/${name}`, detail })),
  );
}

const SHOWN_MAX = 10;
