/**
 * What 1 million and 100 million connections need: the tables of docs/scaling.md, computed from measured costs and
 * stated assumptions. Replace a number in {@link COSTS} or {@link ASSUMPTIONS} and write the tables again:
 *
 *     npx node test/simulation/capacity.ts [--write]
 */
import { parseArgs } from 'node:util'
import { renderTable, simulateGroup } from './doorbells.ts'
import { writeTables } from './paper.ts'

type Input = { value: number; unit: string; what: string; source: string }

const BENCH = 'measured, docs/benchmarks.md'
const MEASURE = 'measured, test/simulation/measure.ts'
const ASSUMED = '**assumed**'

/** Costs, on one core of the machine of docs/benchmarks.md. */
export const COSTS = {
  sendUs: {
    value: 30.4,
    unit: 'µs',
    what: 'broker, one send with its acknowledgement',
    source: `${BENCH}: S1, 32,868/s on one core, with the embedded store in it`,
  },
  deliveryUs: {
    value: 5.7,
    unit: 'µs',
    what: 'broker, one delivery with its acknowledgement',
    source: `${BENCH}: S2b, 174,899/s`,
  },
  connectUs: {
    value: 343,
    unit: 'µs',
    what: 'broker, one CONNECT with JWT of a known device',
    source: `${BENCH}: S3 again, 2,918/s, with the embedded store in it`,
  },
  pingUs: { value: 10, unit: 'µs', what: 'broker, one keep alive', source: ASSUMED },
  deviceBytes: {
    value: 12_650,
    unit: 'bytes',
    what: 'broker, memory of one idle device',
    source: `${BENCH}: S3m`,
  },
  directUs: {
    value: 19.5,
    unit: 'µs',
    what: 'Redis, one direct message that is alone in its turn',
    source: MEASURE,
  },
  groupUs: {
    value: 8.1,
    unit: 'µs',
    what: 'Redis, one group message through its stream, and one ring',
    source: MEASURE,
  },
  ringUs: {
    value: 2.8,
    unit: 'µs',
    what: 'Redis, each further ring',
    source: `${MEASURE}: two nodes against one, the higher of two runs`,
  },
  claimUs: {
    value: 47.6,
    unit: 'µs',
    what: 'Redis, one CONNECT: its route, and 5 groups that its node did not watch',
    source: MEASURE,
  },
  announceUs: {
    value: 740,
    unit: 'µs',
    what: 'Redis, one node for a second in which nothing happens; all nodes in one slot',
    source: MEASURE,
  },
  claimBytes: {
    value: 1_699,
    unit: 'bytes',
    what: 'Redis, memory of one connected device: its route and 5 watches',
    source: MEASURE,
  },
  workerUs: { value: 27.2, unit: 'µs', what: 'fan-out worker, one group message', source: MEASURE },
  databaseSendUs: {
    value: 29.7,
    unit: 'µs',
    what: 'PostgreSQL, one send within a batch',
    source: 'measured, row C1 of docs/benchmarks.md, at commit b3cc433; batches of some hundreds',
  },
  databaseConnectUs: {
    value: 400,
    unit: 'µs',
    what: 'PostgreSQL, one CONNECT: session, subscriptions, inbox, and the end of the session',
    source: `${ASSUMED}; measured alone, with the client of PostgreSQL in it, some 200 to 300 at 200 at a time`,
  },
  databaseCursorUs: {
    value: 20,
    unit: 'µs',
    what: 'PostgreSQL, one cursor written within a batch',
    source: ASSUMED,
  },
  entryBytes: { value: 600, unit: 'bytes', what: 'PostgreSQL, one entry with its indexes', source: ASSUMED },
  wireBytes: {
    value: 450,
    unit: 'bytes',
    what: 'network, one entry with MQTT, TLS and TCP/IP around it',
    source: `${ASSUMED}; payload of 200 bytes`,
  },
} as const satisfies Record<string, Input>

/** How people behave, and how full a machine may be. */
export const ASSUMPTIONS = {
  sendsPerDay: { value: 50, unit: '', what: 'sends of a connected device in a day', source: ASSUMED },
  connectsPerDay: { value: 10, unit: '', what: 'connects of a device in a day', source: ASSUMED },
  peakFactor: { value: 3, unit: '', what: 'busiest second as a multiple of the mean', source: ASSUMED },
  groupShare: { value: 0.4, unit: '', what: 'part of the sends that goes to groups', source: ASSUMED },
  groupMembers: { value: 50, unit: '', what: 'members of the group of such a send', source: ASSUMED },
  onlineShare: { value: 0.3, unit: '', what: 'part of them that is connected', source: ASSUMED },
  directDeliveries: {
    value: 1.3,
    unit: '',
    what: 'deliveries of a direct message (further devices of both)',
    source: ASSUMED,
  },
  pingSeconds: { value: 60, unit: 's', what: 'keep alive', source: ASSUMED },
  nodeConnections: {
    value: 50_000,
    unit: '',
    what: 'connections of a node (one process, one core)',
    source: 'chosen: what its neighbours can take over when it dies',
  },
  fullness: { value: 0.5, unit: '', what: 'part of a core that is used at the peak', source: 'chosen' },
  redisShardBytes: { value: 16e9, unit: 'bytes', what: 'memory of a Redis shard', source: 'chosen' },
  databaseCores: { value: 16, unit: '', what: 'cores of one PostgreSQL', source: 'chosen' },
  heartbeatSeconds: {
    value: 5,
    unit: 's',
    what: 'heartbeats of a pair of nodes after its last doorbell, one a second',
    source: 'broker/cluster/redis/doorbell-batches.ts',
  },
  nodeIdBytes: {
    value: 40,
    unit: 'bytes',
    what: 'a node in the list of all',
    source: 'services/redis/scripts/announce-node.lua',
  },
} as const satisfies Record<string, Input>

const SECONDS_PER_DAY = 86_400

type Capacity = {
  connections: number
  nodes: number
  sendsPerS: number
  groupSendsPerS: number
  deliveriesPerS: number
  connectsPerS: number
  brokerCores: number
  brokerMemoryBytes: number
  ringsPerGroupSend: number
  /** Of a node to others that it has rung within the last seconds, all nodes, per second. */
  heartbeatsPerS: number
  redisDoorbellCores: number
  redisHeartbeatCores: number
  /** Of the one shard that has the list of nodes, as a part of a core. */
  redisListShare: number
  redisBytes: number
  redisShards: number
  workers: number
  databaseCores: number
  databases: number
  databaseBytesPerDay: number
  clientBitsPerS: number
  /** Of the list of all nodes, when every node is restarted one after the other. */
  rolloutListBytes: number
  /** s until all are back after all connections were lost, with brokers and with the database as the bound. */
  stormBrokerS: number
  stormDatabaseS: number
}

type Values = { [Name in keyof typeof COSTS | keyof typeof ASSUMPTIONS]: number }

function readInputs(changes: Partial<Values> = {}): Values {
  const all = { ...COSTS, ...ASSUMPTIONS }
  const values = Object.fromEntries(Object.entries(all).map(([name, { value }]) => [name, value]))
  return { ...values, ...changes } as Values
}

export function computeCapacity(connections: number, changes: Partial<Values> = {}): Capacity {
  const of = readInputs(changes)
  const perS = (perDay: number) => (connections * perDay * of.peakFactor) / SECONDS_PER_DAY
  const sendsPerS = perS(of.sendsPerDay)
  const groupSendsPerS = sendsPerS * of.groupShare
  const directSendsPerS = sendsPerS - groupSendsPerS
  const connectsPerS = perS(of.connectsPerDay)
  // Who is not connected now gets its copy later, so that all members count.
  const deliveriesPerS = directSendsPerS * of.directDeliveries + groupSendsPerS * (of.groupMembers - 1)

  const brokerCores =
    (sendsPerS * of.sendUs +
      deliveriesPerS * of.deliveryUs +
      connectsPerS * of.connectUs +
      (connections / of.pingSeconds) * of.pingUs) /
    1e6 /
    of.fullness
  const nodes = Math.max(2, Math.ceil(connections / of.nodeConnections), Math.ceil(brokerCores))

  const { heard, commands } = simulateGroup({ nodes, size: of.groupMembers, onlineShare: of.onlineShare })
  const doorbellUs =
    directSendsPerS * of.directUs +
    groupSendsPerS * (of.groupUs + Math.max(0, commands - 1) * of.ringUs) +
    connectsPerS * of.claimUs
  const heartbeatsPerS = countHeartbeats({
    nodes,
    rungPerNodeS: (directSendsPerS * of.directDeliveries) / nodes,
    // The rings of groups come from the workers.
    workerRungS: groupSendsPerS * heard,
    seconds: of.heartbeatSeconds,
    workers: Math.max(2, Math.ceil((groupSendsPerS * of.workerUs) / 1e6 / of.fullness)),
  })
  const redisDoorbellCores = doorbellUs / 1e6 / of.fullness
  const redisHeartbeatCores = (heartbeatsPerS * of.ringUs) / 1e6 / of.fullness
  const redisBytes = connections * of.claimBytes
  const databaseCores =
    (sendsPerS * of.databaseSendUs +
      connectsPerS * of.databaseConnectUs +
      deliveriesPerS * of.databaseCursorUs) /
    1e6 /
    of.fullness
  const databases = Math.ceil(databaseCores / of.databaseCores)
  return {
    connections,
    nodes,
    sendsPerS,
    groupSendsPerS,
    deliveriesPerS,
    connectsPerS,
    brokerCores,
    brokerMemoryBytes: connections * of.deviceBytes,
    ringsPerGroupSend: commands,
    heartbeatsPerS,
    redisDoorbellCores,
    redisHeartbeatCores,
    redisListShare: (nodes * of.announceUs) / 1e6,
    redisBytes,
    redisShards: Math.max(
      1,
      Math.ceil(redisDoorbellCores + redisHeartbeatCores),
      Math.ceil(redisBytes / of.redisShardBytes),
    ),
    workers: Math.max(2, Math.ceil((groupSendsPerS * of.workerUs) / 1e6 / of.fullness)),
    databaseCores,
    databases,
    databaseBytesPerDay: connections * of.sendsPerDay * of.entryBytes,
    clientBitsPerS: (sendsPerS + deliveriesPerS) * of.wireBytes * 8,
    rolloutListBytes: 2 * nodes * nodes * nodes * of.nodeIdBytes,
    stormBrokerS: (connections * of.connectUs) / 1e6 / nodes,
    stormDatabaseS: (connections * of.databaseConnectUs) / 1e6 / (databases * of.databaseCores),
  }
}

/** A heartbeat goes to each node that was rung in the last `seconds`, of those that are hit at random. */
function countHeartbeats(of: {
  nodes: number
  rungPerNodeS: number
  workerRungS: number
  workers: number
  seconds: number
}): number {
  const hit = (rungS: number) => (of.nodes - 1) * (1 - Math.exp((-rungS * of.seconds) / of.nodes))
  return of.nodes * hit(of.rungPerNodeS) + of.workers * hit(of.workerRungS / of.workers)
}

// ---------------------------------------------------------------- the tables

const SIZES = [1e6, 1e7, 1e8]
const count = (value: number) => Math.round(value).toLocaleString('en')
const cores = (value: number) => (value < 10 ? value.toFixed(1) : count(value))
const bytes = (value: number) => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3))
  const scaled = value / 1000 ** unit
  return `${scaled < 10 ? scaled.toFixed(1) : count(scaled)} ${units[unit]}`
}

export function renderInputs(inputs: Record<string, Input>): string {
  return renderTable(
    ['input', 'value', 'what', 'source'],
    Object.entries(inputs).map(([name, { value, unit, what, source }]) => [
      `\`${name}\``,
      `${value.toLocaleString('en')} ${unit}`.trim(),
      what,
      source,
    ]),
  )
}

function renderCapacity(capacities: readonly Capacity[]): string {
  const row = (what: string, read: (of: Capacity) => string) => [what, ...capacities.map(read)]
  return renderTable(
    ['', ...capacities.map((of) => `${count(of.connections)} connections`)],
    [
      row('sends, peak', (of) => `${count(of.sendsPerS)}/s`),
      row('of these to groups', (of) => `${count(of.groupSendsPerS)}/s`),
      row('deliveries, peak', (of) => `${count(of.deliveriesPerS)}/s`),
      row('connects, peak', (of) => `${count(of.connectsPerS)}/s`),
      row('**broker nodes** (one core each)', (of) => count(of.nodes)),
      row('cores that their work needs', (of) => cores(of.brokerCores)),
      row('memory of their connections', (of) => bytes(of.brokerMemoryBytes)),
      row('**fan-out workers** (one core each)', (of) => count(of.workers)),
      row('commands of a worker per group message', (of) => of.ringsPerGroupSend.toFixed(1)),
      row('Redis cores for doorbells and routes', (of) => cores(of.redisDoorbellCores)),
      row('heartbeats between nodes', (of) => `${count(of.heartbeatsPerS)}/s`),
      row('Redis cores for heartbeats', (of) => cores(of.redisHeartbeatCores)),
      row('the one shard with the list of nodes', (of) => `${count(of.redisListShare * 100)} % of a core`),
      row('memory of routes and watches', (of) => bytes(of.redisBytes)),
      row('**Redis shards**', (of) => count(of.redisShards)),
      row('PostgreSQL cores', (of) => cores(of.databaseCores)),
      row('**PostgreSQL servers** of 16 cores', (of) => count(of.databases)),
      row('new entries in PostgreSQL', (of) => `${bytes(of.databaseBytesPerDay)} a day`),
      row('network to and from devices', (of) => `${cores(of.clientBitsPerS / 1e9)} Gbit/s`),
      row('lists of nodes, while all nodes are restarted', (of) => bytes(of.rolloutListBytes)),
      row('all connections lost: back after, brokers', (of) => `${count(of.stormBrokerS)} s`),
      row('all connections lost: back after, PostgreSQL', (of) => `${count(of.stormDatabaseS)} s`),
    ],
  )
}

function main(): void {
  const { write } = parseArgs({ options: { write: { type: 'boolean' } } }).values
  const capacities = SIZES.map((size) => computeCapacity(size))
  console.log(renderCapacity(capacities))
  if (write === true) writeTables()
}

export function renderCapacities(): string {
  return renderCapacity(SIZES.map((size) => computeCapacity(size)))
}

if (import.meta.main) main()
