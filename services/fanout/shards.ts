/**
 * Which stream a group's entries go to, and which worker reads which stream.
 *
 * Both are the same function of their input in every process, so nobody has to be told: a log always has the same
 * shard, and of the workers that live each shard belongs to the one with the highest weight (rendezvous hashing). A
 * worker that joins takes a fair part from each of the others and no shard moves between those; one that leaves gives
 * only its own away.
 */

/** In [0, shards). */
export function shardOf(log: string, shards: number): number {
  return hash(log, 0) % shards
}

/** The shards of `worker`, ascending; none if it is not among `workers`. The order of `workers` does not matter. */
export function shardsOf(worker: string, workers: readonly string[], shards: number): number[] {
  const owned: number[] = []
  for (let shard = 0; shard < shards; shard++) if (ownerOf(shard, workers) === worker) owned.push(shard)
  return owned
}

/** Undefined without workers. */
export function ownerOf(shard: number, workers: readonly string[]): string | undefined {
  let owner: string | undefined
  let highest = -1
  for (const worker of workers) {
    const weight = hash(worker, shard + 1)
    // Of equal weights the first by name, so that everybody agrees.
    if (weight < highest || (weight === highest && owner !== undefined && worker >= owner)) continue
    owner = worker
    highest = weight
  }
  return owner
}

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/**
 * 32 bits of a text (ids here are ASCII): FNV-1a, and then the finaliser of MurmurHash3, because FNV alone leaves the
 * names of nodes that differ in their last character close together.
 */
function hash(text: string, seed: number): number {
  let value = FNV_OFFSET ^ Math.imul(seed, FNV_PRIME)
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), FNV_PRIME)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
