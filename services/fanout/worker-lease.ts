/** Which fan-out workers live: each renews a short lease in Redis, and in the same step learns of the others. */
import type { Keys } from '../redis/keys.ts'
import type { RedisClient } from '../redis/redis.ts'
import { Script } from '../redis/script.ts'

/** A worker that was not heard of for this long has lost its shards to the others. */
export const WORKER_LEASE_MS = 3000
const KEY_LIFE_MS = 3_600_000

const announceWorker = new Script<string[]>('announce-worker', new URL('scripts/', import.meta.url))

/** Renews the lease of `worker`; answers all workers that live, itself among them. */
export function renewWorkerLease(client: RedisClient, keys: Keys, worker: string): Promise<string[]> {
  return announceWorker.run(client, [keys.fanoutWorkers], [worker, WORKER_LEASE_MS, KEY_LIFE_MS])
}

/** Gives the lease up, so that others take the shards at once. */
export async function endWorkerLease(client: RedisClient, keys: Keys, worker: string): Promise<void> {
  await announceWorker.run(client, [keys.fanoutWorkers], [worker, 0, KEY_LIFE_MS])
}
