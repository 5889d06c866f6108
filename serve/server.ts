/** The composition root: reads nothing but its configuration, builds every part once, and stops them in reverse. */
import type { Logger } from 'pino'
import type { ClusterSources } from '../broker/cluster-metrics.ts'
import { ROLES } from '../config/options.ts'
import type { Config, Role } from '../config.ts'
import type { SharedStore } from '../services/store/shared-store.ts'
import { startBackground } from './background.ts'
import { openBus, type RedisSide } from './bus.ts'
import { noEndpoints, type RunningServer } from './endpoints.ts'
import { adoptLater, adoptSessions } from './housekeeping.ts'
import { buildAdminPort, openDoors } from './listeners.ts'
import { createLog } from './log.ts'
import { buildNode, createNodeMetrics, joinBus, type Node } from './node.ts'
import { startSidecars } from './sidecars.ts'
import { openStore } from './store.ts'
import { startWithWorkers } from './workers.ts'

/** Starts a node with the roles of its configuration. Rejects with a `ConfigError` that names the setting when it cannot. */
export function startServer(config: Config, onFatal: (error: Error) => void): Promise<RunningServer> {
  return config.workers > 1 ? startWithWorkers(config, onFatal) : startNode(config, onFatal)
}

async function startNode(config: Config, onFatal: (error: Error) => void): Promise<RunningServer> {
  await using parts = new AsyncDisposableStack()
  const log = createLog(config.logLevel)
  const has = (role: Role) => config.roles.includes(role)
  const endpoints = noEndpoints()

  const adminUrl = () => config.adminUrl ?? endpoints.admin
  const { bus, redis, createLimiter } = openBus({ config, log, adminUrl, parts })
  const opened = await openStore({ config, node: bus.node, log, parts, onFatal })
  const node = await buildNode({ config, ...opened, bus, redis, createLimiter, endpoints, log, parts })
  const { store, services, broker, admin } = node
  const metrics = createNodeMetrics(node, clusterSources(node, redis, opened.shared))
  const adminPort = buildAdminPort({ config, metrics, ...admin, log, parts })

  await joinBus(node)
  if (redis !== null) await startSidecars({ config, redis, log, parts })
  await adoptLeft(node, log, parts)
  parts.use(await services.moderation.start(store))
  await openDoors({ node, servesApi: has('api'), endpoints, log, parts })
  endpoints.admin = await adminPort.listen()

  startBackground({
    config,
    store,
    isShared: opened.shared !== null,
    intake: services.intake,
    files: node.media.storage,
    endPlainSession: broker === null ? null : (clientId) => broker.gate.endPlainSession(clientId),
    log,
    parts,
  })
  // Stopped first: the HTTP server waits for its sockets, and those of MQTT over WebSocket are the gate's to close.
  parts.defer(() => broker?.gate.stop())
  admin.ready()
  parts.defer(() => admin.stopping())
  const running = parts.move()
  return { endpoints, store, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** What the node before this one left is taken over, and what nodes left that are gone. */
async function adoptLeft(
  { config, bus, store, broker }: Node,
  log: Logger,
  parts: AsyncDisposableStack,
): Promise<void> {
  const adoption = { store, bus, engine: broker?.engine ?? null, config, log }
  if (bus.hasOthers) adoptLater(adoption, parts)
  else await adoptSessions(adoption)
}

// ---------------------------------------------------------------- metrics

function clusterSources(
  { config, broker, admin }: Node,
  redis: RedisSide | null,
  shared: SharedStore | null,
): ClusterSources {
  return {
    state: admin.state,
    isReady: async () => (await admin.readiness()).ready,
    bus: redis === null ? null : describeBus(redis),
    fanout: redis?.fanoutMetrics ?? null,
    push: config.roles.includes('push') ? (redis?.pushMetrics ?? null) : null,
    database: shared === null ? null : () => shared.database(),
    catchUps: shared === null || broker === null ? null : () => broker.catchUps(),
  }
}

function describeBus({ client, bus }: RedisSide) {
  return {
    counters: bus.counters,
    isConnected: () => client.isReady,
    nodes: () => bus.doorbells.liveNodes().length,
    nodesOf: (role: string) => bus.nodesOf(role),
    roles: ROLES,
    held: () => bus.held,
  }
}
