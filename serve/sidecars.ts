/** The roles beside the broker that work through streams of Redis: fan-out and push. */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { FanoutWorker } from '../services/fanout/fanout-worker.ts'
import { NoProvider } from '../services/push/no-provider.ts'
import { PushWorker } from '../services/push/push-worker.ts'
import type { RedisSide } from './bus.ts'

type SidecarParts = { config: Config; redis: RedisSide; log: Logger; parts: AsyncDisposableStack }

/** Resolves when the worker of the fan-out has its share of the streams. */
export async function startSidecars(sidecars: SidecarParts): Promise<void> {
  const { roles } = sidecars.config
  if (roles.includes('fanout')) await startFanout(sidecars)
  if (roles.includes('push')) startPush(sidecars)
}

async function startFanout({ config, redis, log, parts }: SidecarParts): Promise<void> {
  const { client, keys, bus, fanoutMetrics } = redis
  const worker = parts.use(
    new FanoutWorker({
      client,
      keys,
      node: bus.node,
      shards: config.fanoutShards,
      doorbells: bus.doorbells,
      policy: { broadcastNodesMin: config.broadcastNodesMin },
      metrics: fanoutMetrics,
      log,
    }),
  )
  await worker.start()
}

function startPush({ redis, log, parts }: SidecarParts): void {
  const { client, keys, bus, pushMetrics: metrics } = redis
  const worker = parts.use(
    new PushWorker({ client, keys, node: bus.node, provider: new NoProvider(), metrics, log }),
  )
  worker.start()
}
