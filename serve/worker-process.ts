/**
 * The program of a worker, started by the primary ({@link file://./workers.ts}): everything behind the sockets of
 * devices, around the store of the primary. It reads no configuration and no environment; both come over the pipe.
 */
import cluster from 'node:cluster'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { Peer } from '../broker/cluster/workers/peer.ts'
import { WorkerBus } from '../broker/cluster/workers/worker-bus.ts'
import { PIPE_FD } from '../broker/cluster/workers/worker-pool.ts'
import { type Config, ConfigError } from '../config.ts'
import type { ClientId } from '../protocol/ids.ts'
import { createKeyFile } from '../services/auth/key-file.ts'
import { Keyring } from '../services/auth/keyring.ts'
import { startBackgroundTask } from '../services/background/background-task.ts'
import { Channel } from '../services/store/remote/channel.ts'
import { createRemoteStore } from '../services/store/remote/client.ts'
import { VERSION } from '../version.ts'
import { type Endpoints, noEndpoints } from './endpoints.ts'
import { adoptSessions } from './housekeeping.ts'
import { openDoors } from './listeners.ts'
import { createLog } from './log.ts'
import { buildNode, createNodeMetrics, joinBus, type Node } from './node.ts'
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
  const log = createLog(config.logLevel, { worker: slot })
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
  const endpoints = noEndpoints()
  const { store } = createRemoteStore(channel, { waitingSendsMax: config.storeWaitingSendsMax })
  parts.use(store)
  const { nodeName: name, roles } = config
  const self = { name, version: VERSION, roles, adminUrl: () => config.adminUrl }
  const bus = parts.use(new WorkerBus(peer, self))
  const keys = await Keyring.read(createKeyFile(join(config.dataDir, 'keys')))
  parts.use(reloadKeys(keys, log))
  const ofPrimary = { shared: null, redis: null, createLimiter: undefined }
  const node = await buildNode({ config, store, keys, bus, ...ofPrimary, endpoints, log, parts })
  answerPrimary(node, log)

  await joinBus(node)
  parts.use(await node.services.moderation.start(store))
  await openDoors({ node, servesApi: true, endpoints, log, parts })
  // Stopped first: the HTTP server waits for its sockets, and those of MQTT over WebSocket are the gate's to close.
  parts.defer(() => node.broker?.gate.stop())
  node.admin.ready()
  const serving = parts.move()
  return { endpoints, [Symbol.asyncDispose]: () => serving.disposeAsync() }
}

function answerPrimary(node: Node, log: Logger): void {
  const { config, bus, store, broker } = node
  const metrics = createNodeMetrics(node, null)
  const engine = broker?.engine ?? null
  peer.on('worker.metrics', () => metrics.getMetricsAsJSON())
  peer.on('worker.endPlainSession', (clientId: ClientId) => broker?.gate.endPlainSession(clientId))
  peer.on('worker.adopt', () => adoptSessions({ store, bus, engine, config, log }))
}

function reloadKeys(keys: Keyring, log: Logger): AsyncDisposable {
  return startBackgroundTask({
    name: 'signing keys are read again',
    async step() {
      await keys.reload()
      return KEYS_RELOAD_MS
    },
    firstAfterMs: KEYS_RELOAD_MS,
    retryMs: KEYS_RELOAD_MS,
    log,
  })
}
