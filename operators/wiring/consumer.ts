// Owns the putting together of a consumer: leases, lanes, housekeeping, hints and the watchdog, as services in their order.
import { hostname } from 'node:os';
import { decideGate } from '../../consumers/decide-gate.ts';
import { parkAndWait } from '../../consumers/failure/policies.ts';
import { housekeeping } from '../../consumers/housekeeping.ts';
import { LANE_LIMITS, type LaneGiven } from '../../consumers/lane/lane-given.ts';
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import { runLane } from '../../consumers/lane/run-lane.ts';
import { LEASE_TIMES, openLeases, type Leases } from '../../consumers/leases.ts';
import { openFollowingLeases } from '../../consumers/leases/following-leases.ts';
import { watchdog } from '../../consumers/watchdog.ts';
import { consumerWorker, type ConsumerWorker } from '../../consumers/worker.ts';
import { haltRecords } from '../../consumers/worker/halts.ts';
import { contractsHash } from '../../shared/command/contract.ts';
import { newUuid, type Uuid } from '../../shared/command/identity.ts';
import { openLanePool } from '../../shared/postgres/database.ts';
import { openNotifier, outcomesChannel } from '../../shared/postgres/notify.ts';
import { fanOut, type Observe } from '../../shared/process/events.ts';
import type { Service } from '../../shared/process/service.ts';
import type { Settings } from '../../shared/process/settings.ts';
import type { ReachSignal } from '../../shared/process/test-signal.ts';
import { inTime, type Clock, type Random } from '../../shared/process/time.ts';
import type { Foundation } from './foundation.ts';
import { closingService } from './closing-service.ts';
import { heardStore, type HearCommit } from './hear-commits.ts';

export type ConsumerSettings = Pick<
  Settings,
  'batchSize' | 'batchLinger' | 'lease' | 'drain' | 'decideLimit' | 'ledgerRetention'
>;

export interface ConsumerGiven {
  readonly foundation: Foundation;
  readonly settings: ConsumerSettings;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
  /** null: no fault test listens. */
  readonly reach: ReachSignal | null;
  /** Told what each commit decided; others hear by NOTIFY. */
  readonly hear?: HearCommit;
}

export interface Consumer {
  /** To be started in this order, and stopped in reverse. */
  readonly services: readonly Service[];
  /** Joined, with lanes or without. */
  isReady(): boolean;
}

/** At most so often callers are told that a batch was committed. */
const HINT_EVERY_MS = 5;
/** Renewals per lease: two may get lost. */
const RENEWALS_PER_LEASE = 4;

export function assembleConsumer(given: ConsumerGiven): Consumer {
  const { foundation, settings, clock } = given;
  const { database } = foundation;
  const lanePool = openLanePool(database);
  const notifier = openNotifier({
    url: database.url,
    channel: outcomesChannel(database.schema),
    intervalMs: HINT_EVERY_MS,
    observe: given.observe,
    clock,
  });
  const consumer = newUuid();
  const leases = leasesFor(given, consumer);
  const observe = fanOut([
    given.observe,
    (event) => {
      if (event.kind === 'batch-applied') notifier.hint(String(event.partition));
    },
  ]);
  const written = postgresBatchStore({
    database,
    lanePool,
    types: foundation.config.types,
    ledgerRetentionMs: settings.ledgerRetention,
    consumer,
    observe,
    clock,
  });
  const store = given.hear === undefined ? written : heardStore(written, given.hear);
  const worker = assembleWorker({ ...given, observe }, { store, leases });
  const services = [
    watchdog({ limitMs: settings.decideLimit }),
    closingService({ name: 'lane-pool', close: () => lanePool.end(), clock }),
    closingService({ name: 'outcome-hints', close: () => notifier.close(), clock }),
    leases,
    worker,
    housekeeping({
      database,
      transport: foundation.transport,
      ledgerRetentionMs: settings.ledgerRetention,
      observe: given.observe,
      clock,
      random: given.random,
    }),
  ];
  return { services, isReady: () => worker.isReady() };
}

/** Where the broker's group decides who reads what, leases only tell of it. */
function leasesFor({ foundation, settings, observe, clock, random }: ConsumerGiven, id: Uuid): Leases {
  const { database, transport } = foundation;
  const open = transport.traits.assigns === 'itself' ? openFollowingLeases : openLeases;
  return open({
    database,
    me: { id, host: hostname(), pid: process.pid },
    times: {
      ...LEASE_TIMES,
      leaseMs: settings.lease,
      renewMs: settings.lease / RENEWALS_PER_LEASE,
      drainMs: settings.drain,
    },
    observe,
    clock,
    random,
  });
}

function assembleWorker(
  given: ConsumerGiven,
  parts: Pick<LaneGiven, 'store'> & { readonly leases: Leases },
): ConsumerWorker {
  const { foundation, settings, observe, clock, random } = given;
  const { database, system, config } = foundation;
  const laneGiven: LaneGiven = {
    store: parts.store,
    types: config.types,
    contractHash: contractsHash([...config.types.values()].map((type) => type.contract)),
    policy: parkAndWait(random),
    gate: decideGate(),
    limits: {
      ...LANE_LIMITS,
      batchCountMax: settings.batchSize,
      lingerMs: settings.batchLinger,
      renewedMs: settings.lease,
    },
    system,
    schema: database.schema,
    databaseAnswers: () => answers(foundation, clock),
    newOwner: newUuid,
    observe,
    clock,
    random,
    reach: given.reach,
  };
  return consumerWorker({
    transport: foundation.transport,
    leases: parts.leases,
    runLane: (lane) => runLane(lane, laneGiven),
    halts: haltRecords(database),
    observe,
    clock,
    random,
  });
}

const ANSWER_WITHIN_MS = 2_000;

async function answers({ database }: Foundation, clock: Clock): Promise<boolean> {
  let isAnswered = false;
  const asked = database.pool.query('select 1').then(
    () => (isAnswered = true),
    () => undefined,
  );
  await inTime(asked, ANSWER_WITHIN_MS, clock);
  return isAnswered;
}
