/** What `/metrics` says of the cluster as this process sees it. Labels are names of our own, so their number is bounded. */
import { Gauge, type Registry } from 'prom-client'
import type { FanoutMetrics } from '../services/fanout/fanout-metrics.ts'
import type { PushMetrics } from '../services/push/ports.ts'
import type { DatabaseMetrics } from '../services/store/shared-store.ts'
import type { NodeState } from './cluster/bus.ts'
import type { BusCounters } from './cluster/redis/bus-counters.ts'
import { type ObservedMetrics, observedMetrics } from './observed-metrics.ts'

/** Each part is null where this process does not have it. */
export type ClusterSources = {
  state: () => NodeState
  /** What `/readyz` says. */
  isReady: () => Promise<boolean>
  bus: BusSource | null
  fanout: FanoutMetrics | null
  push: PushMetrics | null
  /** PostgreSQL as this node sees it. */
  database: (() => DatabaseMetrics) | null
  /** Catch-ups that were run; null on a node without connections. */
  catchUps: (() => number) | null
}

type BusSource = {
  counters: BusCounters
  isConnected: () => boolean
  nodes: () => number
  /** Of each role that there is. */
  nodesOf: (role: string) => number
  roles: readonly string[]
  held: () => { claims: number; watches: number }
}

const STATES: readonly NodeState[] = ['starting', 'ready', 'draining', 'stopping']

export function observeCluster(registry: Registry, sources: ClusterSources): void {
  const metrics = observedMetrics(registry)
  const { bus, fanout, push, database, catchUps } = sources
  observeNode(registry, sources)
  if (bus !== null) observeBus(metrics, bus)
  if (fanout !== null) observeFanout(metrics, fanout)
  if (push !== null) observePush(metrics, push)
  if (database !== null) observeDatabase(metrics, database)
  if (catchUps !== null)
    metrics.counter(
      'wochat_catch_ups_total',
      'Times that the store was asked what doorbells were lost.',
      catchUps,
    )
}

function observeNode(registry: Registry, { state, isReady }: ClusterSources): void {
  new Gauge({
    name: 'wochat_node_state',
    help: 'State of this node: 1 for the one that it is in.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const each of STATES) this.set({ state: each }, each === state() ? 1 : 0)
    },
  })
  new Gauge({
    name: 'wochat_ready',
    help: 'Whether /readyz answers 200.',
    registers: [registry],
    async collect() {
      this.set((await isReady()) ? 1 : 0)
    },
  })
}

function observeBus({ registry, gauge, counter }: ObservedMetrics, bus: BusSource): void {
  const { counters, roles, nodesOf } = bus
  gauge('wochat_bus_connected', 'Whether Redis is reached.', () => (bus.isConnected() ? 1 : 0))
  gauge('wochat_nodes', 'Nodes that live, as of the last announcement.', bus.nodes)
  new Gauge({
    name: 'wochat_nodes_of_role',
    help: 'Nodes that live and have a role.',
    labelNames: ['role'],
    registers: [registry],
    collect() {
      for (const role of roles) this.set({ role }, nodesOf(role))
    },
  })
  gauge('wochat_bus_routes', 'Devices whose routes this node holds.', () => bus.held().claims)
  gauge('wochat_bus_watches', 'Groups that this node watches.', () => bus.held().watches)
  counter('wochat_bus_claims_total', 'Routes of devices taken.', () => counters.claimsMade)
  counter('wochat_bus_claims_lost_total', 'Routes lost to another node.', () => counters.claimsLost)
  counter('wochat_bus_doorbells_sent_total', 'Doorbells handed to the bus.', () => counters.framesSent)
  counter('wochat_bus_batches_sent_total', 'Messages to Redis that carried them.', () => counters.batchesSent)
  counter(
    'wochat_bus_batches_dropped_total',
    'Messages that Redis did not take; their receivers ask the store.',
    () => counters.batchesDropped,
  )
  counter('wochat_bus_doorbells_heard_total', 'Doorbells of other nodes.', () => counters.framesHeard)
  counter('wochat_bus_batches_heard_total', 'Messages that carried them.', () => counters.batchesHeard)
  counter(
    'wochat_bus_unknown_total',
    'Doorbells of another version that this one does not know.',
    () => counters.unknownHeard,
  )
  counter('wochat_bus_losses_total', 'Times that doorbells may have been lost here.', () => counters.losses)
  counter(
    'wochat_bus_questions_timed_out_total',
    'Questions that another node did not answer in time.',
    () => counters.questionsTimedOut,
  )
  counter(
    'wochat_bus_own_rings_total',
    'Group entries rung without a fan-out worker, because none lives.',
    () => counters.ownRings,
  )
}

function observeFanout({ gauge, counter }: ObservedMetrics, fanout: FanoutMetrics): void {
  counter('wochat_fanout_appended_total', 'Group entries appended to a stream.', () => fanout.appended)
  counter('wochat_fanout_dropped_total', 'Group entries left to the catch-up.', () => fanout.dropped)
  counter('wochat_fanout_processed_total', 'Group entries whose audience was rung.', () => fanout.processed)
  counter('wochat_fanout_rings_total', 'Doorbells handed to single nodes.', () => fanout.rung)
  counter('wochat_fanout_broadcasts_total', 'Doorbells to all nodes.', () => fanout.broadcast)
  counter(
    'wochat_fanout_claimed_total',
    'Group entries taken over from another worker.',
    () => fanout.claimed,
  )
  counter(
    'wochat_fanout_losses_total',
    'How often all nodes were told to ask the store.',
    () => fanout.losses,
  )
  gauge('wochat_fanout_shards', 'Streams that this worker reads.', () => fanout.shards)
  gauge('wochat_fanout_stream_items', 'Items that wait in those streams.', () => fanout.streamLength)
  gauge('wochat_fanout_lag_seconds', 'Age of the item that was rung last.', () => fanout.lagMs / 1000)
}

function observePush({ gauge, counter }: ObservedMetrics, push: PushMetrics): void {
  counter('wochat_push_processed_total', 'Push jobs that the provider took.', () => push.processed)
  counter(
    'wochat_push_claimed_total',
    'Push jobs taken over from another worker, or tried again.',
    () => push.claimed,
  )
  counter('wochat_push_failures_total', 'Calls of the provider that failed.', () => push.failures)
  gauge('wochat_push_stream_items', 'Push jobs that wait or are with a provider.', () => push.streamLength)
}

function observeDatabase({ gauge, counter }: ObservedMetrics, read: () => DatabaseMetrics): void {
  gauge('wochat_database_up', 'Whether PostgreSQL does its work.', () => (read().isAway ? 0 : 1))
  gauge('wochat_database_connections', 'Open connections to PostgreSQL.', () => read().open)
  gauge('wochat_database_idle_connections', 'Those of them that nobody uses.', () => read().idle)
  gauge('wochat_database_waiting', 'Calls that wait for one of them.', () => read().waiting)
  counter(
    'wochat_database_retries_total',
    'Calls and batches of sends that were run again.',
    () => read().retries,
  )
}
