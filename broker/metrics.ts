/** What `/metrics` says of a node, in the words of Prometheus. Counters are read when they are asked for. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Store } from '../services/store/contract.ts'
import { type ClusterSources, observeCluster } from './cluster-metrics.ts'
import type { GateMetrics } from './gate/gate-metrics.ts'
import { type LiveSources, observeLive } from './live-metrics.ts'
import { observedMetrics } from './observed-metrics.ts'

const COMMIT_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1]
const BATCH_SENDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]
const NS_PER_S = 1e9

type Sources = {
  gate: GateMetrics
  store: Store
  /** By reason. */
  proxyRefusals: ReadonlyMap<string, number>
  inflight: () => number
  behind: () => number
  /** Null where a primary gathers the metrics of its workers. */
  cluster?: ClusterSources | null
  /** Null where no device connects. */
  live?: Omit<LiveSources, 'gate'> | null
}

/** A registry with the metrics of this process; `wochat_*` are ours, the rest is Node's. */
export function createMetrics({
  gate,
  store,
  proxyRefusals,
  inflight,
  behind,
  cluster = null,
  live = null,
}: Sources): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const { gauge, counter } = observedMetrics(registry)

  gauge(
    'wochat_connections',
    'Open sockets, with those that have not sent their CONNECT.',
    () => gate.connections,
  )
  gauge('wochat_inflight_packets', 'Entries and replies without a PUBACK.', inflight)
  gauge('wochat_inboxes_behind', 'Inboxes that are being drained.', behind)
  gauge('wochat_commit_waiting_sends', 'Sends that wait for a commit.', () => store.metrics.waiting)
  counter('wochat_connects_total', 'CONNECTs that were accepted.', () => gate.connects)
  counter('wochat_sends_total', 'Messages received.', () => gate.sends)
  counter('wochat_calls_total', 'Calls received over MQTT.', () => gate.calls)
  counter('wochat_plain_publishes_total', 'Messages received on plain topics.', () => gate.plainPublishes)
  counter('wochat_commits_total', 'Transactions of the store.', () => store.metrics.commits)
  counter('wochat_entries_total', 'Entries committed.', () => store.metrics.entries)
  counter('wochat_deliveries_total', 'Entries and gaps written to devices.', () => gate.deliveries)
  counter('wochat_redeliveries_total', 'Entries written again with DUP.', () => gate.redeliveries)
  counter('wochat_acks_total', 'PUBACKs received for what was delivered.', () => gate.acks)
  counter('wochat_negative_acks_total', 'PUBACKs with a reason of 0x80 or more.', () => gate.negativeAcks)
  counter('wochat_drains_total', 'Reads of the store for devices that were behind.', () => gate.drains)
  counter('wochat_gaps_total', 'Gaps reported to devices.', () => gate.gaps)
  counter(
    'wochat_takeovers_total',
    'Connections closed because their device connected again.',
    () => gate.takeovers,
  )
  counter(
    'wochat_slow_cuts_total',
    'Connections cut because they did not read or acknowledge.',
    () => gate.slowCuts,
  )
  counter('wochat_received_bytes_total', 'Bytes received over MQTT.', () => gate.bytesReceived)
  byLabel(registry, 'wochat_refusals_total', 'Refused sends, calls and CONNECTs.', 'code', gate.refusals)
  byLabel(
    registry,
    'wochat_violations_total',
    'Connections cut for a broken rule of MQTT.',
    'reason',
    gate.violations,
  )
  byLabel(
    registry,
    'wochat_proxy_refusals_total',
    'Connections closed for their PROXY protocol header, or because no trusted proxy made them.',
    'reason',
    proxyRefusals,
  )
  if (cluster !== null) observeCluster(registry, cluster)
  if (live !== null) observeLive(registry, { gate, ...live })
  observeCommits(registry, store)
  observeEventLoop(registry)
  return registry
}

function byLabel<Key extends string | number>(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  counts: ReadonlyMap<Key, number>,
): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const [key, count] of counts) this.inc({ [label]: String(key) }, count)
    },
  })
}

function observeCommits(registry: Registry, store: Store): void {
  const registers = [registry]
  const seconds = new Histogram({
    name: 'wochat_commit_seconds',
    help: 'From the hand-over of a batch to its being durable.',
    buckets: COMMIT_SECONDS,
    registers,
  })
  const sends = new Histogram({
    name: 'wochat_commit_batch_sends',
    help: 'Sends that one commit made durable.',
    buckets: BATCH_SENDS,
    registers,
  })
  store.metrics.onCommit = (batchSends, ms) => {
    seconds.observe(ms / 1000)
    if (batchSends > 0) sends.observe(batchSends)
  }
}

function observeEventLoop(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  new Gauge({
    name: 'wochat_event_loop_delay_seconds',
    help: 'Delay of the event loop since the last scrape.',
    labelNames: ['quantile'],
    registers: [registry],
    collect() {
      this.set({ quantile: '0.5' }, delay.percentile(50) / NS_PER_S)
      this.set({ quantile: '0.99' }, delay.percentile(99) / NS_PER_S)
      this.set({ quantile: '1' }, delay.max / NS_PER_S)
      delay.reset()
    },
  })
}
