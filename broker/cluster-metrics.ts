/** What `/metrics` says of the cluster as this process sees it. Labels are names of our own, so their number is bounded. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { FanoutMetrics } from '../services/fanout/fanout-metrics.ts'
import type { NodeState } from './cluster/bus.ts'

/** Each part is null where this process does not have it. */
export type ClusterSources = {
  state: () => NodeState
  bus: { isConnected: () => boolean; nodes: () => number } | null
  fanout: FanoutMetrics | null
  /** Connections to PostgreSQL: open ones, and calls that wait for one. */
  pool: { open: () => number; waiting: () => number } | null
}

const STATES: readonly NodeState[] = ['starting', 'ready', 'draining', 'stopping']

export function observeCluster(registry: Registry, { state, bus, fanout, pool }: ClusterSources): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })

  new Gauge({
    name: 'wochat_node_state',
    help: 'State of this node: 1 for the one that it is in.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const each of STATES) this.set({ state: each }, each === state() ? 1 : 0)
    },
  })
  if (bus !== null) {
    gauge('wochat_bus_connected', 'Whether Redis is reached.', () => (bus.isConnected() ? 1 : 0))
    gauge('wochat_nodes', 'Nodes that live, as of the last announcement.', bus.nodes)
  }
  if (fanout !== null) {
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
  if (pool !== null) {
    gauge('wochat_database_connections', 'Open connections to PostgreSQL.', pool.open)
    gauge('wochat_database_waiting', 'Calls that wait for one of them.', pool.waiting)
  }
}
