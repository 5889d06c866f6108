/** The bus of this node: none, or Redis with the queue of the fan-out and the limits that all nodes share. */
import type { Logger } from 'pino'
import { type Bus, newNodeId } from '../broker/cluster/bus.ts'
import { LocalBus } from '../broker/cluster/local-bus.ts'
import { RedisBus } from '../broker/cluster/redis/redis-bus.ts'
import type { Config } from '../config.ts'
import type { DispatcherParts } from '../services/dispatcher.ts'
import { createFanoutMetrics, type FanoutMetrics } from '../services/fanout/fanout-metrics.ts'
import { StreamQueue } from '../services/fanout/stream-queue.ts'
import { createPushMetrics, type PushMetrics } from '../services/push/ports.ts'
import { Keys } from '../services/redis/keys.ts'
import { RedisClient } from '../services/redis/redis.ts'
import { SharedRateLimiter } from '../services/redis/shared-rate-limiter.ts'
import { VERSION } from '../version.ts'

type BusParts = { config: Config; log: Logger; adminUrl: () => string | null; parts: AsyncDisposableStack }

/** What a node of a cluster has of Redis. */
export type RedisSide = {
  client: RedisClient
  keys: Keys
  bus: RedisBus
  fanoutMetrics: FanoutMetrics
  pushMetrics: PushMetrics
}

export type OpenedBus = {
  bus: Bus
  /** Null without Redis. */
  redis: RedisSide | null
  createLimiter: DispatcherParts['createLimiter']
}

export function openBus({ config, log, adminUrl, parts }: BusParts): OpenedBus {
  const self = { name: config.nodeName, version: VERSION, roles: config.roles, adminUrl }
  if (config.redisUrl === null) {
    return { bus: parts.use(new LocalBus(self)), redis: null, createLimiter: undefined }
  }
  const client = parts.use(new RedisClient({ url: config.redisUrl.reveal(), name: config.nodeName, log }))
  const keys = new Keys(config.redisKeyPrefix)
  const node = newNodeId(config.nodeName)
  const fanoutMetrics = createFanoutMetrics()
  const queue = new StreamQueue({
    client,
    keys,
    node,
    shards: config.fanoutShards,
    metrics: fanoutMetrics,
    onLoss: (ageMs) => bus.doorbells.lost(ageMs),
    log,
  })
  const bus = new RedisBus({
    client,
    keyPrefix: config.redisKeyPrefix,
    node,
    self,
    fanout: queue,
    nodeLeaseMs: config.nodeLeaseMs,
    takeoverTimeoutMs: config.takeoverTimeoutMs,
    log,
  })
  // The queue ends first: what it could not hand over, the bus tells the other nodes.
  parts.use(bus)
  parts.use(queue)
  return {
    bus,
    redis: { client, keys, bus, fanoutMetrics, pushMetrics: createPushMetrics() },
    createLimiter: (name, limit) => new SharedRateLimiter(client, keys, name, limit),
  }
}
