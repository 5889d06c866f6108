/**
 * Which stream a group's entries go to, and which worker reads which stream.
 *
 * Both are the same function of their input in every process, so nobody has to be told: a log always has the same
 * shard, and of the workers that live each shard belongs to the one with the highest weight (rendezvous hashing) that
 * has not its equal part already. Without that bound one of four workers would have 7 of 16 shards and another 1; with
 * it some more shards move when a worker comes or goes, which costs only a moment of mixed order.
 */
import { fnv1a } from '../fnv.ts'

/** In [0, shards). */
export function shardOf(log: string, shards: number): number {
  return hash(log, 0) % shards
}

/** The shards of `worker`, ascending; none if it is not among `workers`. The order of `workers` does not matter. */
export function shardsOf(worker: string, workers: readonly string[], shards: number): number[] {
  return ownersOf(workers, shards).flatMap((owner, shard) => (owner === worker ? [shard] : []))
}

/** The worker of each shard, none with more than an equal part, rounded up. Empty without workers. */
export function ownersOf(workers: readonly string[], shards: number): string[] {
  const free = new Map([...workers].sort().map((worker) => [worker, Math.ceil(shards / workers.length)]))
  const owners: string[] = []
  for (let shard = 0; shard < shards && workers.length > 0; shard++) {
    let owner = ''
    let highest = -1
    for (const worker of free.keys()) {
      const weight = hash(worker, shard + 1)
      if (weight > highest) [owner, highest] = [worker, weight]
    }
    owners.push(owner)
    const left = free.get(owner)! - 1
    if (left > 0) free.set(owner, left)
    else free.delete(owner)
  }
  return owners
}

/**
 * 32 bits of a text (ids here are ASCII): FNV-1a, and then the finaliser of MurmurHash3, because FNV alone leaves the
 * names of nodes that differ in their last character close together.
 */
function hash(text: string, seed: number): number {
  let value = fnv1a(text, seed)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
