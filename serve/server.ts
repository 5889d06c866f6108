/** The composition root: reads nothing but its configuration, builds every part once, and stops them in reverse. */
import pino from 'pino'
import { feedBoth } from '../broker/cluster/node-listener.ts'
import { GateMetrics } from '../broker/gate/gate-services.ts'
import { attachWebSocket } from '../broker/listeners/websocket-listener.ts'
import { createMetrics } from '../broker/metrics.ts'
import { ROLES } from '../config/options.ts'
import type { Config, Role } from '../config.ts'
import type { Store } from '../services/store/contract.ts'
import { buildAdmin } from './admin.ts'
import { startBackground } from './background.ts'
import { buildBroker } from './broker.ts'
import { openBus, type RedisSide } from './bus.ts'
import { adoptLater, adoptSessions, expireSessions } from './housekeeping.ts'
import { startIntegration } from './integration.ts'
import {
  buildHttp,
  type Endpoints,
  listenAdmin,
  listenHttp,
  listenMqtt,
  listenMqtts,
  proxySettings,
} from './listeners.ts'
import { buildLive } from './live.ts'
import { openMedia, sweepMedia } from './media.ts'
import { buildServices } from './services.ts'
import { startFanout, startPush } from './sidecars.ts'
import { openStore } from './store.ts'
import { startWithWorkers } from './workers.ts'

export type { Endpoints } from './listeners.ts'

export type RunningServer = AsyncDisposable & { readonly endpoints: Endpoints; readonly store: Store }

/** Starts a node with the roles of its configuration. Rejects with a `ConfigError` that names the setting when it cannot. */
export async function startServer(config: Config, onFatal: (error: Error) => void): Promise<RunningServer> {
  if (config.workers > 1) return startWithWorkers(config, onFatal)
  await using parts = new AsyncDisposableStack()
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: false }))
  const has = (role: Role) => config.roles.includes(role)
  const endpoints: Endpoints = { mqtt: '', mqtts: null, http: '', ws: '', admin: '' }

  const { bus, redis, createLimiter } = openBus({
    config,
    log,
    adminUrl: () => config.adminUrl ?? endpoints.admin,
    parts,
  })
  const { store, shared, keys } = await openStore({ config, node: bus.node, log, parts, onFatal })
  const { live, watching } = buildLive({ config, store, bus, log, parts })
  const media = await openMedia({ config, store, keys, log, parts })
  const services = buildServices({ config, store, keys, live, media, endpoints, createLimiter, log })
  const broker = has('broker')
    ? await buildBroker({ config, store, shared, bus, services, live, watching, log, parts })
    : null
  store.feed = broker?.feed ?? feedBoth(bus.outgoing, live.receipts.feed)

  const admin = buildAdmin({ config, bus, store, intake: services.intake, broker, redis, parts })
  const proxyRefusals = new Map<string, number>()
  const proxies = proxySettings(config, proxyRefusals, log)
  const metrics = createMetrics({
    gate: broker?.gate.metrics ?? new GateMetrics(),
    store,
    proxyRefusals,
    inflight: () => broker?.inflight() ?? 0,
    behind: () => broker?.behind() ?? 0,
    live: { live, signals: bus.signals },
    cluster: {
      state: admin.state,
      isReady: async () => (await admin.readiness()).ready,
      bus: redis === null ? null : describeBus(redis),
      fanout: redis?.fanoutMetrics ?? null,
      database: shared === null ? null : () => shared.database(),
      catchUps: shared === null || broker === null ? null : () => broker.catchUps(),
    },
  })
  const adminPort = listenAdmin({
    config,
    store,
    metrics,
    isReady: () => admin.state() === 'ready',
    admin: { operations: admin, log },
    parts,
  })

  await bus.open()
  if (redis !== null && has('fanout')) await startFanout({ config, redis, log, parts })
  if (redis !== null && has('push')) startPush({ config, redis, log, parts })
  const adoption = { store, bus, engine: broker?.engine ?? null, config, log }
  if (redis === null) await adoptSessions(adoption)
  else adoptLater(adoption, parts)

  parts.use(await services.moderation.start(store))

  if (has('api') || broker !== null) {
    const http = await buildHttp({ config, services, servesApi: has('api'), log, parts })
    if (broker !== null) {
      attachWebSocket(broker.gate, http.server, {
        messageBytesMax: config.packetBytesMax,
        allowedOrigins: config.allowedOrigins,
        trustedProxies: config.trustedProxies,
      })
      await listenMqtt(broker.gate, config, proxies, endpoints, parts)
      await listenMqtts(broker.gate, config, proxies, endpoints, parts)
    }
    await listenHttp(http, config, proxies, endpoints)
  }
  await adminPort.listen(endpoints)

  expireSessions(broker, store, log, parts)
  startBackground({ config, store, log, parts })
  startIntegration({ config, store, intake: services.intake, isShared: shared !== null, log, parts })
  sweepMedia({ config, store, storage: media.storage, log, parts })
  // Stopped first: the HTTP server waits for its sockets, and those of MQTT over WebSocket are the gate's to close.
  if (broker !== null) parts.defer(() => broker.gate.stop())
  admin.ready()
  parts.defer(() => admin.stopping())
  const running = parts.move()
  return { endpoints, store, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

function describeBus({ client, bus }: RedisSide) {
  return {
    counters: bus.counters,
    isConnected: () => client.isReady,
    nodes: () => bus.liveNodes().length,
    nodesOf: (role: string) => bus.nodesOf(role),
    roles: ROLES,
    held: () => bus.held,
  }
}
