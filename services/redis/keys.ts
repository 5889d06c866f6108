/**
 * Every key and channel in Redis is named here, and nowhere else.
 *
 * What stands in `{}` is the hash tag: in a Cluster, keys with the same tag share a slot, so that one command or
 * script may take several of them. All of it can be rebuilt; Redis may be emptied at any time (docs/adr/0005-cluster.md).
 *
 * | key after the prefix | type | owner | life |
 * |---|---|---|---|
 * | `{nodes}:info` | hash, node id -> JSON of `NodeInfo` | bus, each node its field | field until the lease is over; key {@link NODES_LIFE_MS} after the last announcement |
 * | `{nodes}:leases` | sorted set, node id by end of its lease (ms, Redis TIME) | bus, each node its member | as above |
 * | `{nodes}:version` | number, raised when a node comes or goes | bus | {@link NODES_LIFE_MS} after the last announcement |
 * | `{r<bucket>}:route:<uid>` | string, lines of packed claims (`services/redis/routes.ts`) | bus, through scripts only | {@link ROUTE_LIFE_MS}, renewed by the holders of the devices |
 * | `{w<bucket>}:watch:<group log>` | set of `<node id>/<lease number>` | bus | {@link WATCH_LIFE_MS}, renewed by the watching nodes |
 * | `{p<bucket>}:presence:<uid>` | hash: node id -> what it says of the person, `~<node id>` -> until when it follows (`scripts/put-presence.lua`) | presence, each node its fields | {@link PRESENCE_LIFE_MS}, renewed by the nodes with devices of the person; what a dead node says counts for nothing |
 * | `{l<bucket>}:limit:<name>:<key>` | string, microseconds of Redis TIME at which the bucket is full again | shared rate limiter | until the bucket is full |
 * | `{f<shard>}:fanout` | stream of doorbells of group logs | fan-out | {@link STREAM_LIFE_MS}, renewed by who appends and by the shard's worker. Never trimmed: full, it takes nothing more; the worker deletes what it has rung |
 * | `{fanout}:workers` | sorted set, worker by end of its lease | fan-out | entries are pruned by the workers |
 * | `{push}:jobs` | stream | push | {@link STREAM_LIFE_MS}, renewed as above; trimmed by length |
 *
 * A stream ends a day after its last append and its last worker. What is lost with it are doorbells, or pushes, of
 * yesterday: while no worker lives, nodes ring their groups themselves; the entries are in the store, where a device
 * that connects finds them; and a worker that makes a stream anew has all nodes ask the store. Streams of shards that
 * a lower `fanoutShards` has left behind end so, too.
 *
 * Channels (pub/sub; sharded in a Cluster): `{bell:<node id>}` for one node, `{bell}` for all.
 */
import type { LogId, UserId } from '../../protocol/ids.ts'
import { fnv1a } from '../fnv.ts'

const HOUR_MS = 3_600_000
export const NODES_LIFE_MS = 24 * HOUR_MS
export const ROUTE_LIFE_MS = 24 * HOUR_MS
export const WATCH_LIFE_MS = 24 * HOUR_MS
export const PRESENCE_LIFE_MS = 24 * HOUR_MS
export const STREAM_LIFE_MS = 24 * HOUR_MS
/** How long a node follows a person unless it asks again: longer than the lease of any watch. */
export const FOLLOW_LIFE_MS = HOUR_MS / 4

/** Slots over which users, groups and limits spread; few enough that one turn's look-ups share commands. */
const BUCKETS = 256

/** The bucket of a name: its hash, folded to a byte. */
function bucketOf(name: string): number {
  const hash = fnv1a(name)
  return ((hash >>> 24) ^ (hash >>> 16) ^ (hash >>> 8) ^ hash) & (BUCKETS - 1)
}

export class Keys {
  readonly prefix: string
  readonly nodeInfo: string
  readonly nodeLeases: string
  readonly nodesVersion: string
  /** Channel of all nodes. */
  readonly doorbellOfAll: string
  readonly fanoutWorkers: string
  readonly pushJobs: string

  /** `prefix`: what installations that share a Redis differ in; braces would break the hash tags. */
  constructor(prefix: string) {
    if (/[{}]/.test(prefix)) throw new Error('the prefix of keys in Redis has no braces')
    this.prefix = prefix
    this.nodeInfo = `${prefix}:{nodes}:info`
    this.nodeLeases = `${prefix}:{nodes}:leases`
    this.nodesVersion = `${prefix}:{nodes}:version`
    this.doorbellOfAll = `${prefix}:{bell}`
    this.fanoutWorkers = `${prefix}:{fanout}:workers`
    this.pushJobs = `${prefix}:{push}:jobs`
  }

  route(uid: UserId): string {
    return `${this.prefix}:{r${bucketOf(uid)}}:route:${uid}`
  }

  watch(group: LogId): string {
    return `${this.prefix}:{w${bucketOf(group)}}:watch:${group}`
  }

  presence(uid: UserId): string {
    return `${this.prefix}:{p${bucketOf(uid)}}:presence:${uid}`
  }

  /** `name`: what is limited, such as `account`. */
  limit(name: string, key: string): string {
    return `${this.prefix}:{l${bucketOf(key)}}:limit:${name}:${key}`
  }

  /** Channel of one node. */
  doorbell(node: string): string {
    return `${this.prefix}:{bell:${node}}`
  }

  fanoutStream(shard: number): string {
    return `${this.prefix}:{f${shard}}:fanout`
  }
}

const PATTERNS: readonly RegExp[] = [
  /^\{nodes\}:(info|leases|version)$/,
  /^\{r\d{1,3}\}:route:[^:]+$/,
  /^\{w\d{1,3}\}:watch:g:.+$/,
  /^\{p\d{1,3}\}:presence:[^:]+$/,
  /^\{l\d{1,3}\}:limit:[a-z]+:.+$/,
  /^\{f\d{1,4}\}:fanout$/,
  /^\{fanout\}:workers$/,
  /^\{push\}:jobs$/,
]

/** Whether a key in Redis is one of the table. */
export function isKnownKey(prefix: string, key: string): boolean {
  return (
    key.startsWith(`${prefix}:`) && PATTERNS.some((pattern) => pattern.test(key.slice(prefix.length + 1)))
  )
}
