/** What operators see and do: the node's own answers, its state, and the operations over all nodes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClusterPort } from '../broker/admin/cluster.ts'
import { LoadMeter } from '../broker/admin/load-meter.ts'
import { answerForNode } from '../broker/admin/node-answers.ts'
import type { Bus, NodeSide, NodeState } from '../broker/cluster/bus.ts'
import type { Config } from '../config.ts'
import { AdminService } from '../services/admin/admin-service.ts'
import { checkReadiness } from '../services/admin/readiness.ts'
import type { Readiness } from '../services/api/admin-server.ts'
import { MessageSender } from '../services/messages/message-sender.ts'
import type { MessageIntake } from '../services/messages/ports.ts'
import { StreamLengths } from '../services/redis/stream-lengths.ts'
import type { Store } from '../services/store/contract.ts'
import type { RedisSide } from './bus.ts'
import type { Connections } from './connections.ts'

type AdminParts = {
  config: Config
  bus: Bus
  store: Store
  intake: MessageIntake
  connections: Connections
  /** Null without Redis. */
  redis: RedisSide | null
  parts: AsyncDisposableStack
}

export type Admin = {
  service: AdminService
  readiness: () => Promise<Readiness>
  state: () => NodeState
  /** What the bus announces. */
  describe: NodeSide['describe']
  /** The ports are open. */
  ready(): void
  /** The node is about to stop; resolves when a load balancer has had its time to see it. */
  stopping(): Promise<void>
}

/** Call before the bus is open: other nodes ask from then on. */
export function buildAdmin({ config, bus, store, intake, connections, redis, parts }: AdminParts): Admin {
  const { connectionsMax, registry, draining, tracing, metrics } = connections
  const meter = parts.use(
    new LoadMeter({
      connections: () => registry.all.size,
      connectionsMax,
      sends: () => metrics.sends,
      deliveries: () => metrics.deliveries,
    }),
  )
  let phase: 'starting' | 'ready' | 'stopping' = 'starting'
  const state = () => (phase === 'ready' && draining.state !== 'none' ? 'draining' : phase)
  // Sends still work, so it is no reason to send traffic elsewhere: the other nodes have the same Redis.
  const warnings = () => (redis === null ? [] : warningsOf(redis))
  const streams = redis === null ? null : new StreamLengths(redis.client, redis.keys, config.fanoutShards)
  answerForNode(bus, { registry, draining, tracing, sendsWaiting: () => store.metrics.waiting })
  return {
    service: new AdminService({
      cluster: createClusterPort(bus),
      store,
      sender: new MessageSender(store, intake, { isOperators: true }),
      streams,
      warnings,
    }),
    readiness: () =>
      checkReadiness({
        state,
        loopFault: () => meter.loopFault,
        storeHealth: () => store.health(),
        warnings,
      }),
    state,
    describe: () => ({ state: state(), load: meter.load }),
    ready() {
      phase = 'ready'
    },
    async stopping() {
      const isSeen = draining.state !== 'none' && draining.state !== 'announced'
      phase = 'stopping'
      if (!isSeen) await sleep(config.readyDelayMs)
    },
  }
}

function warningsOf({ client, bus }: RedisSide): string[] {
  if (!client.isReady)
    return ['Redis is away: messages are stored, and delivered across nodes when it is back']
  if (bus.isWithoutFanout) return ['no live node has the role fanout: each node rings its groups itself']
  return []
}
