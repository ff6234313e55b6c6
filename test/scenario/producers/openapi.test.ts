// Proves that /openapi.json tells every route, every payload and every problem, and holds together.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROBLEMS } from '../../../producers/http/problem.ts';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';

let bundle: HttpBundle;
let text: string;
beforeAll(async () => {
  bundle = await httpBundle();
  text = (await bundle.call('/openapi.json')).text;
});
afterAll(() => bundle.close());

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, Record<string, unknown>> };
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Record<string, unknown> };
  readonly responses: Record<string, { readonly description: string; readonly content: Record<string, unknown> }>;
}
// The document was printed by the server under test; what it lacks fails the test that looks for it.
const document = () => JSON.parse(text) as Document;

describe('/openapi.json', () => {
  it('is OpenAPI 3.1 with the routes of this API', () => {
    expect(document().openapi).toBe('3.1.0');
    expect(Object.keys(document().paths).sort()).toEqual([
      '/health/live',
      '/health/ready',
      '/metrics',
      '/v1/commands',
      '/v1/commands/{id}',
      '/v1/resources/{type}/{id}',
    ]);
  });

  it('tells every content type of a submission, and its headers', () => {
    const post = document().paths['/v1/commands']?.['post'];
    expect(Object.keys(post?.requestBody?.content ?? {})).toEqual([
      'application/json',
      'application/cloudevents+json',
      'application/cloudevents-batch+json',
      'application/x-ndjson',
    ]);
    expect(post?.parameters?.map((each) => each.name)).toEqual([
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'Prefer',
    ]);
  });

  it('has the payload schema of every command', () => {
    const { schemas } = document().components;
    expect(Object.keys(schemas)).toEqual(
      expect.arrayContaining(['account.open', 'account.deposit', 'note.write', 'account.deposit.data']),
    );
    expect(schemas['account.deposit.data']).toMatchObject({ required: ['amount'], additionalProperties: false });
    expect(schemas['account.deposit']).toMatchObject({ properties: { type: { enum: ['account.deposit'] } } });
  });

  it('tells the path and query of questions', () => {
    const names = (path: string) =>
      document()
        .paths[path]?.['get']?.parameters?.map((each) => `${each.in} ${each.name}`)
        .sort();
    expect(names('/v1/commands/{id}')).toEqual([
      'path id',
      'query after',
      'query resource',
      'query source',
      'query wait',
    ]);
    expect(names('/v1/resources/{type}/{id}')).toEqual([
      'path id',
      'path type',
      'query after',
      'query source',
      'query wait',
    ]);
  });

  it('names every problem that can be a JSON answer to a route', () => {
    const told = new Set([...text.matchAll(/([a-z-]+): [A-Z]/g)].map((match) => match[1]));
    const elsewhere = [
      'url-invalid',
      'request-malformed',
      'route-unknown',
      'method-not-allowed',
      'request-timed-out',
      'url-too-long',
      'expectation-failed',
      'headers-too-large',
    ];
    expect(Object.keys(PROBLEMS).filter((code) => !told.has(code) && !elsewhere.includes(code))).toEqual([]);
  });

  it('refers to nothing that is not there', () => {
    const refs = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"/]+)"/g)].map((match) => match[1] ?? '');
    expect(refs.length).toBeGreaterThan(10);
    const { schemas } = document().components;
    expect(refs.filter((name) => schemas[name] === undefined)).toEqual([]);
    expect(text).not.toMatch(/"\$ref":"#\/\$defs/);
  });
});
