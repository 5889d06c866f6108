import { type Broker, CLUSTER_BROKERS } from './broker.ts'
import type { GeneratorOptions, GeneratorResult } from './generator.ts'
import {
  at,
  figure,
  latency,
  type Metric,
  perSecond,
  type Row,
  type RowContext,
  storm,
  time,
  WARMUP_SECONDS,
} from './row.ts'

const PAIRS = 100
const GROUP_MEMBERS = 1000
const FAILOVER = { devices: 5000, staying: 500, pubs: 100, rate: 1000 }

/** What a message (a delivery, in a group) costs in each part of the cluster. */
const costs: Metric[] = ['node 1', 'node 2', 'PostgreSQL', 'Redis'].map((name) => ({
  name,
  unit: 'µs CPU each',
  better: 'lower',
  digits: 1,
}))

export const CLUSTER_ROWS: readonly Row[] = [
  {
    id: 'C1',
    title:
      '100 pairs one to one, 20 in flight each, persistent sessions; senders on one node, receivers on the other',
    metrics: [perSecond('deliveries', 20_000), time('p50', 'ms'), time('p99', 'ms'), ...costs],
    brokers: CLUSTER_BROKERS,
    nodes: 2,
    async measure({ broker, generate, seconds }) {
      const pairs = await broker.people({ publishers: PAIRS, devices: PAIRS })
      const result = await generate('flow', {
        ...across(broker),
        ...pairs,
        groups: PAIRS,
        window: 20,
        persistent: true,
        seconds,
        warmup: WARMUP_SECONDS,
      })
      const latencies = { p50: latency(result, 'p50'), p99: latency(result, 'p99') }
      return { values: { ...deliveriesOf(result), ...latencies }, results: [result] }
    },
  },
  {
    id: 'C2',
    title: 'one group of 1,000 online members over the nodes, 5 in flight',
    metrics: [perSecond('deliveries', 200_000), ...costs],
    brokers: CLUSTER_BROKERS,
    nodes: 2,
    async measure({ broker, generate, seconds }) {
      const group = await broker.group({ publishers: 1, members: GROUP_MEMBERS })
      const result = await generate('flow', {
        ...across(broker),
        ...group.flow,
        subPorts: broker.nodes.map(({ port }) => port).join(),
        subs: GROUP_MEMBERS,
        window: 5,
        seconds,
        warmup: WARMUP_SECONDS,
      })
      return { values: deliveriesOf(result), results: [result] }
    },
  },
  {
    id: 'C3',
    title:
      'kill -9 of one of three nodes with 5,000 devices, 500 more on the others, 1,000 messages/s to all of them',
    metrics: [
      time('all drained', 's', 5),
      time('all connected', 's', 5),
      time('p99 of the others', 'ms'),
      { name: 'sent again', unit: 'messages', better: 'lower', digits: 0 },
    ],
    brokers: ['wochat-cluster', 'aedes-redis-nodes'],
    nodes: 3,
    measure: measureFailover,
  },
]

async function measureFailover({ broker, generate }: RowContext) {
  const others = broker.nodes.slice(1)
  // The survivors' code is warm, as it is on servers that have taken connections before.
  const strangers = await broker.people({ publishers: 0, devices: 200, prefix: 'w' })
  const warmups: GeneratorResult[] = []
  for (const { port } of others) warmups.push(await storm(generate, broker, strangers, 200, { port }))
  const people = await broker.people({
    publishers: FAILOVER.pubs,
    devices: FAILOVER.devices + FAILOVER.staying,
  })
  const result = await generate('failover', {
    ...people,
    ...FAILOVER,
    port: others[0]!.port,
    subPorts: String(broker.nodes[0].port),
    failoverPorts: others.map(({ port }) => port).join(),
    kill: broker.nodes[0].pid,
    pids: others.map(({ pid }) => pid).join(),
    parts: partsOf(broker),
    warmup: WARMUP_SECONDS,
  })
  const values = {
    'all drained': figure(result, 'drainedSeconds'),
    'all connected': figure(result, 'backSeconds'),
    'p99 of the others': figure(result, 'stayingLatencyMs', 'p99'),
    'sent again': figure(result, 'repeated'),
  }
  return { values, results: [...warmups, result] }
}

/** Publishers at the first node, receivers at the last. */
function across(broker: Broker): GeneratorOptions {
  return { ...at(broker), subPorts: String(broker.nodes.at(-1)!.port), parts: partsOf(broker) }
}

function partsOf({ nodes, engines }: Broker): string {
  const named = nodes.map(({ pid }, index) => [`node ${index + 1}`, pid] as const)
  return [...named, ...engines].map(([name, pid]) => `${name}=${pid}`).join()
}

function deliveriesOf(result: GeneratorResult): Record<string, number> {
  const deliveries = figure(result, 'deliveriesPerSecond')
  const values: Record<string, number> = { deliveries }
  for (const { name } of costs) {
    const percent = figure(result, 'cpuPercent', name)
    if (!Number.isNaN(percent)) values[name] = (percent * 1e4) / deliveries
  }
  return values
}
