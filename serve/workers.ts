/**
 * The primary of `serve --workers N`: it has the store, the keys and the operator's port, and N workers behind the same
 * ports that do everything else ({@link file://./worker-process.ts}).
 */
import type { Logger } from 'pino'
import { Counter, Gauge, type MetricObject, type Registry } from 'prom-client'
import { PrimaryBus } from '../broker/cluster/workers/primary-bus.ts'
import { type PoolWorker, WorkerPool } from '../broker/cluster/workers/worker-pool.ts'
import { GateMetrics } from '../broker/gate/gate-metrics.ts'
import { createMetrics } from '../broker/metrics.ts'
import { type Config, ConfigError } from '../config.ts'
import type { ClientId } from '../protocol/ids.ts'
import type { Readiness } from '../services/api/admin-server.ts'
import type { Store } from '../services/store/contract.ts'
import { type HostedWorker, StoreHost } from '../services/store/remote/host.ts'
import { type Admin, buildAdmin } from './admin.ts'
import { startBackground } from './background.ts'
import { buildConnections } from './connections.ts'
import { type Endpoints, noEndpoints, type RunningServer } from './endpoints.ts'
import { buildIntake } from './intake.ts'
import { buildAdminPort } from './listeners.ts'
import { createLog } from './log.ts'
import { openMediaStorage } from './media.ts'
import { openStore } from './store.ts'
import { configOfWorker, packConfig } from './worker-config.ts'
import { WorkerMetrics, type WorkerReport } from './worker-metrics.ts'

const PROGRAM = new URL('./worker-process.ts', import.meta.url)
/** A worker that takes longer to its first word is taken for dead. */
const WORKER_START_MS = 60_000
const WORKER_ANSWER_MS = 3000
/** Part of the time for a stop after which workers that have not stopped are ended. */
const WORKERS_STOP_SHARE = 0.8

/** What a worker says at its start. */
export type WorkerStarted = { endpoints: Endpoints } | { wrongSetting: string }
export type WorkerStart = { slot: number; config: ReturnType<typeof packConfig> }

/** Starts the primary and its workers. Rejects with a `ConfigError` that names the setting when it cannot. */
export async function startWithWorkers(
  config: Config,
  onFatal: (error: Error) => void,
): Promise<RunningServer> {
  await using parts = new AsyncDisposableStack()
  const log = createLog(config.logLevel)
  const endpoints = noEndpoints()
  const { nodeName, takeoverTimeoutMs } = config
  const bus = parts.use(new PrimaryBus({ name: nodeName, takeoverTimeoutMs }))
  const { store } = await openStore({ config, node: bus.node, log, parts, onFatal })
  const host = await buildHost(config, store, log)
  store.feed = host
  const pool = buildPool({ config, host, bus, endpoints, log, parts })
  const connections = buildConnections({ config, bus, connectionsMax: 0, parts })
  const { intake, moderation } = buildIntake({ config, tracing: connections.tracing, log })
  const admin = buildAdmin({ config, bus, store, intake, connections, redis: null, parts })
  const readiness = () => readinessOf(admin, pool)
  const metrics = buildMetrics(store, pool, admin)
  const adminPort = buildAdminPort({ config, metrics, service: admin.service, readiness, log, parts })

  parts.use(await moderation.start(store))
  endpoints.admin = await adminPort.listen()
  await pool.start()
  // What the server before this one left; from now on a worker that lives is in the list of nodes.
  await pool.ready[0]?.peer.ask('worker.adopt', null)
  parts.defer(() => pool.stop(config.stopTimeoutMs * WORKERS_STOP_SHARE))
  startBackground({
    config,
    store,
    isShared: false,
    intake,
    files: await openMediaStorage(config, log, parts),
    endPlainSession: (clientId) => endPlainSession(pool, clientId),
    log,
    parts,
  })
  admin.ready()
  parts.defer(() => admin.stopping())
  const running = parts.move()
  return { endpoints, store, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** What the workers' ends of the store are connected to. Sessions of a life before this one begin to expire. */
async function buildHost(config: Config, store: Store, log: Logger): Promise<StoreHost> {
  const orphanExpiryMs = config.sessionExpirySecondsMax * 1000
  await store.adoptSessions({ expiresAt: Date.now() + orphanExpiryMs, except: [] })
  return new StoreHost(store, {
    orphanExpiryMs,
    onError: (error) => log.warn({ err: error }, 'a session of a dead worker waits for the next start'),
  })
}

type PoolParts = {
  config: Config
  host: StoreHost
  bus: PrimaryBus
  endpoints: Endpoints
  log: Logger
  parts: AsyncDisposableStack
}

function buildPool({ config, host, bus, endpoints, log, parts }: PoolParts): WorkerPool {
  const hosted = new Map<PoolWorker, HostedWorker>()
  const leaving = new Set<Promise<void>>()
  parts.defer(async () => {
    await Promise.all(leaving)
  })
  return new WorkerPool({
    program: PROGRAM,
    workers: config.workers,
    log,
    attach(worker) {
      hosted.set(worker, host.attach(worker.channel))
      bus.attach(worker.peer)
    },
    async start({ slot, peer }) {
      const start: WorkerStart = { slot, config: packConfig(configOfWorker(config, slot)) }
      const started = (await peer.ask('worker.start', start, WORKER_START_MS)) as WorkerStarted
      if ('wrongSetting' in started) throw new ConfigError(started.wrongSetting)
      Object.assign(endpoints, started.endpoints, { admin: endpoints.admin })
    },
    detach(worker) {
      bus.detach(worker.peer)
      const left = host.detach(hosted.get(worker)!).finally(() => leaving.delete(left))
      leaving.add(left)
      hosted.delete(worker)
    },
  })
}

/** The store has ended the session of a device; the engine of each worker forgets its part. */
async function endPlainSession(pool: WorkerPool, clientId: ClientId): Promise<void> {
  const asked = pool.ready.map(({ peer }) => peer.ask('worker.endPlainSession', clientId, WORKER_ANSWER_MS))
  await Promise.all(asked)
}

async function readinessOf(admin: Admin, pool: WorkerPool): Promise<Readiness> {
  const readiness = await admin.readiness()
  if (pool.ready.length > 0) return readiness
  return { ...readiness, ready: false, reasons: [...readiness.reasons, 'no worker serves'] }
}

// ---------------------------------------------------------------- metrics

function buildMetrics(store: Store, pool: WorkerPool, admin: Admin): Registry {
  const own = createMetrics({
    gate: new GateMetrics(),
    store,
    proxyRefusals: new Map(),
    inflight: () => 0,
    behind: () => 0,
    cluster: {
      state: admin.state,
      isReady: async () => (await readinessOf(admin, pool)).ready,
      bus: null,
      fanout: null,
      push: null,
      database: null,
      catchUps: null,
    },
  })
  new Gauge({
    name: 'wochat_workers',
    help: 'Worker processes that serve.',
    registers: [own],
    collect() {
      this.set(pool.ready.length)
    },
  })
  new Counter({
    name: 'wochat_worker_restarts_total',
    help: 'Workers that died and were started again.',
    registers: [own],
    collect() {
      this.reset()
      this.inc(pool.restarts)
    },
  })
  return new WorkerMetrics(own, () => reportsOf(pool))
}

/** A worker that does not answer in time is left out. */
async function reportsOf(pool: WorkerPool): Promise<WorkerReport[]> {
  const asked = pool.ready.map(async ({ slot, pid, peer }) => {
    const metrics = (await peer.ask('worker.metrics', null, WORKER_ANSWER_MS)) as MetricObject[]
    return { worker: String(slot), pid, metrics }
  })
  const settled = await Promise.allSettled(asked)
  return settled.flatMap((report) => (report.status === 'fulfilled' ? [report.value] : []))
}
