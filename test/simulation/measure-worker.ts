/** The fan-out worker that {@link measure.ts} measures: `node measure-worker.ts <redis url>`. */
import { pino } from 'pino'
import { newNodeId } from '../../broker/cluster/bus.ts'
import { SILENT_SIDE } from '../../broker/cluster/local-bus.ts'
import { RedisBus } from '../../broker/cluster/redis/redis-bus.ts'
import { createFanoutMetrics } from '../../services/fanout/fanout-metrics.ts'
import { FanoutWorker } from '../../services/fanout/fanout-worker.ts'
import { Keys } from '../../services/redis/keys.ts'
import { RedisClient } from '../../services/redis/redis.ts'
import { SHARDS } from '../cluster/fanout-parts.ts'

const log = pino({ level: 'silent' })
const client = new RedisClient({ url: process.argv[2]!, name: 'worker', log })
const bus = new RedisBus({
  ...{ client, keyPrefix: 'wochat', nodeLeaseMs: 10_000, takeoverTimeoutMs: 2000, log },
  ...{ node: newNodeId('worker'), fanout: { append() {} } },
  self: { name: 'worker', version: '0', roles: ['fanout'], adminUrl: () => null },
})
await bus.open(SILENT_SIDE)
const worker = new FanoutWorker({
  ...{ client, keys: new Keys('wochat'), node: bus.node, shards: SHARDS, doorbells: bus.doorbells, log },
  ...{ policy: { broadcastNodesMin: 8 }, metrics: createFanoutMetrics() },
})
await worker.start()
console.log('started')
