// Owns what a serving command says when it serves: where it listens, where the data is, and what to try.
import { relative } from 'node:path';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { samplePayload } from '../wiring/sample-payload.ts';
import type { RunningSystem } from '../wiring/run-system.ts';
import { counted, type Output } from './output.ts';

export function announce(output: Output, title: string, running: RunningSystem): void {
  const { foundation, url, healthUrl, dataDirectory } = running;
  const { system, config, database } = foundation;
  const lines = [
    ['API', url === null ? null : `${url}  (OpenAPI at /openapi.json, metrics at /metrics)`],
    ['health', healthUrl === null ? null : `${healthUrl}/health/ready  (metrics at /metrics)`],
    ['data', dataDirectory ?? whereOf(database.url)],
    ['config', `${relative(process.cwd(), config.file)}: ${namesOf(config.types)}`],
    ['log', `${system.transport}, ${counted(system.partitions, 'partition')}, schema ${database.schema}`],
  ].filter(([, text]) => text !== null);
  const facts = lines.map(([name, text]) => `  ${String(name).padEnd(8)}${String(text)}`);
  output.say(['', `${title}`, '', ...facts].join('\n'), {
    status: 'serving',
    url,
    healthUrl,
    dataDirectory,
    config: config.file,
    schema: database.schema,
    partitions: system.partitions,
    pid: process.pid,
  });
  const tries = url === null ? [] : curlLines(url, config.types);
  if (tries.length > 0) output.tell(['', 'Try, in another terminal:', '', ...tries].join('\n'));
  output.tell('\nCtrl-C stops it.\n');
}

const TRIES_MAX = 2;

/** Commands of the first resource type whose payload can be guessed, in the order of its contract. */
function curlLines(url: string, types: ResourceTypes): readonly string[] {
  const [first] = types.values();
  if (first === undefined) return [];
  const { type, commands } = first.contract;
  return [...commands]
    .map(([name, schema]) => ({ type: `${type}.${name}`, subject: '42', data: samplePayload(schema) }))
    .filter(({ data }) => data !== undefined && first.rows.canonicalSubject('42') === '42')
    .slice(0, TRIES_MAX)
    .map(
      (draft) =>
        `curl -s ${url}/v1/commands -H 'content-type: application/json' -H 'prefer: wait=5' \\\n  -d '${JSON.stringify(draft).replaceAll("'", "'\\''")}'`,
    );
}

function namesOf(types: ResourceTypes): string {
  return [...types.values()]
    .map(({ contract }) => `${contract.type} (${[...contract.commands.keys()].join(', ')})`)
    .join(', ');
}

/** Without user and password. */
function whereOf(databaseUrl: string): string {
  const { hostname, port, pathname } = new URL(databaseUrl);
  return `PostgreSQL at ${hostname}${port === '' ? '' : `:${port}`}${pathname}`;
}
