/**
 * The program of a worker, started by the primary ({@link file://./workers.ts}): everything behind the sockets of
 * devices, around the store of the primary. It reads no configuration and no environment; both come over the pipe.
 */
import cluster from 'node:cluster'
import { Socket } from 'node:net'
import { join } from 'node:path'
import pino, { type Logger } from 'pino'
import { Peer } from '../broker/cluster/workers/peer.ts'
import { WorkerBus } from '../broker/cluster/workers/worker-bus.ts'
import { PIPE_FD } from '../broker/cluster/workers/worker-pool.ts'
import { attachWebSocket } from '../broker/listeners/websocket-listener.ts'
import { createMetrics } from '../broker/metrics.ts'
import { type Config, ConfigError } from '../config.ts'
import type { ClientId } from '../protocol/ids.ts'
import { createKeyFile } from '../services/auth/key-file.ts'
import { Keyring } from '../services/auth/keyring.ts'
import { Channel } from '../services/store/remote/channel.ts'
import { createRemoteStore } from '../services/store/remote/client.ts'
import { VERSION } from '../version.ts'
import { buildAdmin } from './admin.ts'
import { type Broker, buildBroker } from './broker.ts'
import { adoptSessions } from './housekeeping.ts'
import { buildHttp, type Endpoints, listenHttp, listenMqtt, listenMqtts, proxySettings } from './listeners.ts'
import { buildLive } from './live.ts'
import { openMedia } from './media.ts'
import { buildServices } from './services.ts'
import { unpackConfig } from './worker-config.ts'
import type { WorkerStart, WorkerStarted } from './workers.ts'

/** The primary replaces signing keys; a worker signs with the new one, and publishes it, after this at the latest. */
const KEYS_RELOAD_MS = 10_000

const channel = new Channel(new Socket({ fd: PIPE_FD }))
const peer = new Peer(channel)
// Without the primary there is no store. What was acknowledged is in it.
channel.onClose = () => process.exit(1)
// Also sent to the whole group of processes: the primary tells its workers in good order.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {})

let running: AsyncDisposable | null = null
peer.on('worker.start', start)
peer.on('worker.stop', stop)

async function start({ slot, config: packed }: WorkerStart): Promise<WorkerStarted> {
  const config = unpackConfig(packed)
  const base = { worker: slot }
  const log = pino({ level: config.logLevel, base }, pino.destination({ dest: 2, sync: false }))
  try {
    const serving = await serve(config, log)
    running = serving
    return { endpoints: serving.endpoints }
  } catch (error) {
    if (error instanceof ConfigError) return { wrongSetting: error.message }
    throw error
  }
}

async function stop(): Promise<void> {
  await running?.[Symbol.asyncDispose]()
  await channel.flushed()
  channel.onClose = () => {}
  channel.end()
  cluster.worker?.disconnect()
}

async function serve(config: Config, log: Logger): Promise<AsyncDisposable & { endpoints: Endpoints }> {
  await using parts = new AsyncDisposableStack()
  const endpoints: Endpoints = { mqtt: '', mqtts: null, http: '', ws: '', admin: '' }
  const { store } = createRemoteStore(channel, { waitingSendsMax: config.storeWaitingSendsMax })
  parts.use(store)
  const bus = parts.use(
    new WorkerBus(peer, {
      name: config.nodeName,
      version: VERSION,
      roles: config.roles,
      adminUrl: () => config.adminUrl,
    }),
  )
  const keys = await Keyring.read(createKeyFile(join(config.dataDir, 'keys')))
  reloadKeys(keys, log, parts)
  const { live, watching } = buildLive({ config, store, bus, log, parts })
  const media = await openMedia({ config, store, keys, log, parts })
  const services = buildServices({ config, store, keys, live, media, endpoints, log })
  const broker = await buildBroker({ config, store, shared: null, bus, services, live, watching, log, parts })
  store.feed = broker.feed
  const admin = buildAdmin({ config, bus, store, intake: services.intake, broker, redis: null, parts })
  const proxyRefusals = new Map<string, number>()
  answerPrimary(broker, store, proxyRefusals, { live, signals: bus.signals })
  peer.on('worker.adopt', () => adoptSessions({ store, bus, engine: broker.engine, config, log }))
  await bus.open()
  parts.use(await services.moderation.start(store))

  const proxies = proxySettings(config, proxyRefusals, log)
  const http = await buildHttp({ config, services, servesApi: true, log, parts })
  attachWebSocket(broker.gate, http.server, {
    messageBytesMax: config.packetBytesMax,
    allowedOrigins: config.allowedOrigins,
    trustedProxies: config.trustedProxies,
  })
  await listenMqtt(broker.gate, config, proxies, endpoints, parts)
  await listenMqtts(broker.gate, config, proxies, endpoints, parts)
  await listenHttp(http, config, proxies, endpoints)
  // Stopped first: the HTTP server waits for its sockets, and those of MQTT over WebSocket are the gate's to close.
  parts.defer(() => broker.gate.stop())
  admin.ready()
  const serving = parts.move()
  return { endpoints, [Symbol.asyncDispose]: () => serving.disposeAsync() }
}

function answerPrimary(
  broker: Broker,
  store: Parameters<typeof createMetrics>[0]['store'],
  proxyRefusals: Map<string, number>,
  live: Parameters<typeof createMetrics>[0]['live'],
): void {
  const metrics = createMetrics({
    gate: broker.gate.metrics,
    store,
    proxyRefusals,
    inflight: () => broker.inflight(),
    behind: () => broker.behind(),
    live: live ?? null,
  })
  peer.on('worker.metrics', () => metrics.getMetricsAsJSON())
  peer.on('worker.endPlainSession', (clientId: ClientId) => broker.gate.endPlainSession(clientId))
}

function reloadKeys(keys: Keyring, log: Logger, parts: AsyncDisposableStack): void {
  const timer = setInterval(() => {
    keys.reload().catch((error: unknown) => log.warn({ err: error }, 'the signing keys were not read again'))
  }, KEYS_RELOAD_MS)
  timer.unref()
  parts.defer(() => clearInterval(timer))
}
