/** What is behind the ports of one process: a node of a cluster, the only one, or a worker of this machine. */
import type { Logger } from 'pino'
import type { Registry as MetricsRegistry } from 'prom-client'
import type { Bus } from '../broker/cluster/bus.ts'
import { SILENT_LISTENER } from '../broker/cluster/local-bus.ts'
import { feedBoth } from '../broker/cluster/node-listener.ts'
import type { ClusterSources } from '../broker/cluster-metrics.ts'
import type { ProxySettings } from '../broker/listeners/proxied-server.ts'
import type { Live } from '../broker/live/live.ts'
import { createMetrics } from '../broker/metrics.ts'
import type { Config } from '../config.ts'
import type { Keyring } from '../services/auth/keyring.ts'
import type { Store } from '../services/store/contract.ts'
import type { SharedStore } from '../services/store/shared-store.ts'
import { type Admin, buildAdmin } from './admin.ts'
import { type Broker, buildBroker } from './broker.ts'
import type { OpenedBus } from './bus.ts'
import { buildConnections, type Connections } from './connections.ts'
import type { Endpoints } from './endpoints.ts'
import { buildLive } from './live.ts'
import { type Media, openMedia } from './media.ts'
import { proxySettings } from './proxies.ts'
import { buildServices, type Services } from './services.ts'

type NodeParts = Pick<OpenedBus, 'bus' | 'redis' | 'createLimiter'> & {
  config: Config
  store: Store
  /** The same store, when nodes share it. */
  shared: SharedStore | null
  keys: Keyring
  /** Filled while the ports open. */
  endpoints: Endpoints
  log: Logger
  parts: AsyncDisposableStack
}

export type Node = {
  config: Config
  bus: Bus
  store: Store
  connections: Connections
  live: Live
  media: Media
  services: Services
  /** Null on a node without the role. */
  broker: Broker | null
  admin: Admin
  proxies: ProxySettings
  /** Connections that were refused for what a proxy said, by reason. */
  proxyRefusals: ReadonlyMap<string, number>
}

/** Builds all of it and has the store tell it of commits; others hear of the node when {@link joinBus} has resolved. */
export async function buildNode(given: NodeParts): Promise<Node> {
  const { config, bus, redis, store, log, parts } = given
  const isBroker = config.roles.includes('broker')
  const connectionsMax = isBroker ? config.connectionsMax : 0
  const connections = buildConnections({ config, bus, connectionsMax, parts })
  const live = buildLive({ config, store, bus, connections, log, parts })
  const media = await openMedia(given)
  const services = buildServices({ ...given, live, media, tracing: connections.tracing })
  const broker = isBroker ? await buildBroker({ ...given, connections, live, services }) : null
  // Here the circle closes: the store is the first to be there, and tells those who need it.
  store.feed = broker?.feed ?? feedBoth(bus.outgoing, live.receipts.feed)
  const admin = buildAdmin({ config, bus, store, intake: services.intake, connections, redis, parts })
  const proxyRefusals = new Map<string, number>()
  const proxies = proxySettings(config, proxyRefusals, log)
  return { config, bus, store, connections, live, media, services, broker, admin, proxies, proxyRefusals }
}

export function joinBus({ bus, broker, admin }: Node): Promise<void> {
  return bus.open({ listener: broker?.listener ?? SILENT_LISTENER, describe: admin.describe })
}

/** `cluster` is null where a primary gathers the metrics of its workers. */
export function createNodeMetrics(
  { bus, store, connections, live, proxyRefusals }: Node,
  cluster: ClusterSources | null,
): MetricsRegistry {
  return createMetrics({
    gate: connections.metrics,
    store,
    proxyRefusals,
    inflight: () => connections.inflight(),
    behind: () => connections.behind(),
    live: { live, signals: bus.signals },
    cluster,
  })
}
