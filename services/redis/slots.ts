/** One command may take several keys: of one server all of them, of a Cluster those with the same hash tag. */
import type { RedisClient } from './redis.ts'

/** Indexes of keys that may stand in one command, at most `max` in each. */
export function groupBySlot(client: RedisClient, keys: readonly string[], max: number): number[][] {
  const groups: number[][] = []
  const open = new Map<string, number[]>()
  for (let i = 0; i < keys.length; i++) {
    const tag = client.isCluster ? tagOf(keys[i]!) : ''
    const group = open.get(tag)
    if (group !== undefined && group.length < max) {
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
