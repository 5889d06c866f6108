/** One command may take several keys: of one server all of them, of a Cluster those with the same hash tag. */
import type { RedisClient } from './redis.ts'

/** Keys in one command: a script or an MGET that large still takes Redis less than a millisecond or two. */
const KEYS_PER_COMMAND_MAX = 500

/** Runs as few commands as there may be for some keys. Of each, `run` gets the keys, and their indexes in `keys`. */
export function runBySlot(
  client: RedisClient,
  keys: readonly string[],
  run: (keys: string[], indexes: readonly number[]) => Promise<unknown>,
): Promise<unknown>[] {
  return groupBySlot(client, keys).map((group) =>
    run(
      group.map((i) => keys[i]!),
      group,
    ),
  )
}

function groupBySlot(client: RedisClient, keys: readonly string[]): number[][] {
  const groups: number[][] = []
  const open = new Map<string, number[]>()
  for (let i = 0; i < keys.length; i++) {
    const tag = client.isCluster ? tagOf(keys[i]!) : ''
    const group = open.get(tag)
    if (group !== undefined && group.length < KEYS_PER_COMMAND_MAX) {
      group.push(i)
      continue
    }
    const next = [i]
    open.set(tag, next)
    groups.push(next)
  }
  return groups
}

function tagOf(key: string): string {
  return key.slice(key.indexOf('{') + 1, key.indexOf('}'))
}
