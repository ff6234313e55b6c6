// Owns health and metrics: live while the event loop turns, ready while commands can be published.
import type { FastifyInstance } from 'fastify';
import { inTime, type Clock } from '../../shared/process/time.ts';
import type { Submitter } from '../submit.ts';
import { STATUS } from './problem.ts';
import { sendJson } from './reply.ts';

export interface HealthGiven {
  readonly submitter: Pick<Submitter, 'canPublish'>;
  /** Asks the broker whether it is there. */
  reachBroker(): Promise<unknown>;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly clock: Clock;
}

/** The broker is asked at most this often, however many ask us. */
const PROBE_FOR_MS = 1_000;
const PROBE_PATIENCE_MS = 2_000;

export function healthRoutes(app: FastifyInstance, given: HealthGiven): void {
  const probe = openProbe(given);
  app.get(
    '/health/live',
    { schema: { operationId: 'getLive', summary: 'Whether the process turns' } },
    (_request, reply) => sendJson(reply, STATUS.ok, { status: 'live' }),
  );
  app.get(
    '/health/ready',
    { schema: { operationId: 'getReady', summary: 'Whether commands can be published' } },
    async (_request, reply) => {
      const isReady = given.submitter.canPublish() && (await probe());
      return sendJson(reply, isReady ? STATUS.ok : STATUS.unavailable, { status: isReady ? 'ready' : 'not-ready' });
    },
  );
  app.get(
    '/metrics',
    { schema: { operationId: 'getMetrics', summary: 'Metrics in the text format of Prometheus' } },
    async (_request, reply) => reply.header('content-type', given.metrics.contentType).send(await given.metrics.text()),
  );
}

/** One question at a time, its answer kept for a moment. */
function openProbe(given: HealthGiven): () => Promise<boolean> {
  let asked: { readonly atMs: number; readonly answer: Promise<boolean> } | null = null;
  return () => {
    const nowMs = given.clock.monotonicMs();
    if (asked === null || nowMs - asked.atMs >= PROBE_FOR_MS) asked = { atMs: nowMs, answer: probeOnce(given) };
    return asked.answer;
  };
}

/** No answer in time is a no. */
async function probeOnce({ reachBroker, clock }: HealthGiven): Promise<boolean> {
  let isThere = false;
  const probe = reachBroker().then(
    () => (isThere = true),
    () => undefined,
  );
  await inTime(probe, PROBE_PATIENCE_MS, clock);
  return isThere;
}
