/**
 * How doorbell traffic grows with nodes, group sizes and the share of members that are online, by the routing code of
 * the workers (`services/fanout/audience.ts` and `shards.ts`) on random placements.
 *
 *     npx node test/simulation/doorbells.ts [--out docs/scaling.json]
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { chooseAudience } from '../../services/fanout/audience.ts'
import { ownersOf, shardOf } from '../../services/fanout/shards.ts'
import { createRandom, nameNodes, placeGroup } from './placement.ts'

/** As configured by default. */
const POLICY = { broadcastNodesMin: 8 }
const NODES = [2, 10, 100, 1000]
const SIZES = [2, 10, 100, 1000, 10_000, 100_000]
const ONLINE_SHARES = [0.01, 0.1, 0.5]
/** Of the table of offline members. */
const ONLINE_FIXED = 100
/** Groups that are placed for one row: many of the small ones, whose numbers scatter. */
const MEMBERS_PLACED_MAX = 500_000
const PLACEMENTS_MAX = 500
const SEED = 20_261_122

type Traffic = {
  nodes: number
  size: number
  onlineShare: number
  /** Means per message. */
  onlineMembers: number
  /** Nodes that hold an online member, the sender's among them. */
  watchers: number
  /** What a worker writes to Redis for one message: a ring to each node, or one broadcast. */
  commands: number
  /** Doorbells that nodes other than the sender's receive. */
  heard: number
  /** Part of `heard` that came to a node without a member. */
  heardInVain: number
  /** Part of the messages that were broadcast. */
  broadcastShare: number
}

export function simulateGroup(
  { nodes, size, onlineShare }: { nodes: number; size: number; onlineShare: number },
  seed = SEED,
): Traffic {
  const names = nameNodes(nodes)
  const random = createRandom(seed)
  const placements = Math.max(3, Math.min(PLACEMENTS_MAX, Math.floor(MEMBERS_PLACED_MAX / size)))
  const sum = { onlineMembers: 0, watchers: 0, commands: 0, heard: 0, heardInVain: 0, broadcasts: 0 }
  for (let i = 0; i < placements; i++) {
    const placed = placeGroup({ nodes, size, onlineShare }, random)
    const watchers = placed.watchers.map((node) => names[node]!)
    const audience = chooseAudience(watchers, names[placed.sender]!, nodes, POLICY)
    const isBroadcast = audience.kind === 'broadcast'
    const heard = isBroadcast ? nodes - 1 : audience.nodes.length
    sum.onlineMembers += placed.onlineMembers
    sum.watchers += watchers.length
    sum.commands += isBroadcast ? 1 : audience.nodes.length
    sum.heard += heard
    sum.heardInVain += heard - (watchers.length - 1)
    sum.broadcasts += isBroadcast ? 1 : 0
  }
  const mean = (value: number) => value / placements
  return {
    nodes,
    size,
    onlineShare,
    onlineMembers: mean(sum.onlineMembers),
    watchers: mean(sum.watchers),
    commands: mean(sum.commands),
    heard: mean(sum.heard),
    heardInVain: mean(sum.heardInVain),
    broadcastShare: mean(sum.broadcasts),
  }
}

type WorkerLoad = {
  workers: number
  shards: number
  /** Shards of the busiest and of the least busy worker. */
  shardsMost: number
  shardsLeast: number
  /** Messages of the busiest worker, as a multiple of an equal part; groups that are equally busy. */
  busiest: number
  /** Part of the shards that another worker reads after one more has joined. */
  movedByJoin: number
}

export function simulateWorkers(workers: number, shards: number, groups = 100_000): WorkerLoad {
  const names = nameNodes(workers + 1).map((name) => name.replace('broker', 'fanout'))
  const owners = ownersOf(names.slice(0, workers), shards)
  const ownersLater = ownersOf(names, shards)
  const shardCounts = new Map(names.slice(0, workers).map((name) => [name, 0]))
  for (const owner of owners) shardCounts.set(owner, shardCounts.get(owner)! + 1)
  const loads = new Map<string, number>()
  for (let i = 0; i < groups; i++) {
    const owner = owners[shardOf(`g:group-${i}`, shards)]!
    loads.set(owner, (loads.get(owner) ?? 0) + 1)
  }
  return {
    workers,
    shards,
    shardsMost: Math.max(...shardCounts.values()),
    shardsLeast: Math.min(...shardCounts.values()),
    busiest: Math.max(...loads.values()) / (groups / workers),
    movedByJoin: owners.filter((owner, shard) => owner !== ownersLater[shard]).length / shards,
  }
}

// ---------------------------------------------------------------- the tables

export function simulateAll(): {
  growth: Traffic[]
  offline: Traffic[]
  workers: WorkerLoad[]
} {
  const growth = NODES.flatMap((nodes) =>
    ONLINE_SHARES.flatMap((onlineShare) => SIZES.map((size) => simulateGroup({ nodes, size, onlineShare }))),
  )
  const offline = [200, 1000, 10_000, 100_000].map((size) =>
    simulateGroup({ nodes: 100, size, onlineShare: ONLINE_FIXED / size }),
  )
  const workers = [
    [2, 16],
    [4, 16],
    [8, 16],
    [8, 64],
    [16, 64],
    [16, 256],
    [64, 1024],
  ].map(([count, shards]) => simulateWorkers(count!, shards!))
  return { growth, offline, workers }
}

const round = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 0 : 1)
const percent = (value: number) => `${Math.round(value * 100)} %`

export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** One row per number of nodes and online share; a column per group size. */
export function renderGrowth(growth: readonly Traffic[]): string {
  const rows = NODES.flatMap((nodes) =>
    ONLINE_SHARES.map((share) => {
      const cells = SIZES.map((size) => {
        const of = growth.find((it) => it.nodes === nodes && it.onlineShare === share && it.size === size)!
        return `${round(of.commands)} / ${round(of.heard)}`
      })
      return [String(nodes), percent(share), ...cells]
    }),
  )
  return renderTable(
    ['nodes', 'online', ...SIZES.map((size) => `group of ${size.toLocaleString('en')}`)],
    rows,
  )
}

export function renderOffline(offline: readonly Traffic[]): string {
  return renderTable(
    ['members', 'online', 'nodes with a member', 'commands', 'doorbells heard', 'broadcast'],
    offline.map((of) => [
      of.size.toLocaleString('en'),
      round(of.onlineMembers),
      round(of.watchers),
      round(of.commands),
      round(of.heard),
      percent(of.broadcastShare),
    ]),
  )
}

export function renderWorkers(workers: readonly WorkerLoad[]): string {
  return renderTable(
    ['workers', 'shards', 'shards of one worker', 'busiest worker', 'moved when one joins'],
    workers.map((of) => [
      String(of.workers),
      String(of.shards),
      `${of.shardsLeast} to ${of.shardsMost}`,
      `${of.busiest.toFixed(2)} of an equal part`,
      percent(of.movedByJoin),
    ]),
  )
}

function main(): void {
  const { out } = parseArgs({ options: { out: { type: 'string' } } }).values
  const result = simulateAll()
  console.log('Commands of a worker / doorbells that other nodes hear, per group message\n')
  console.log(renderGrowth(result.growth))
  console.log(`\nThe same number of online members, more and more that are offline; 100 nodes\n`)
  console.log(renderOffline(result.offline))
  console.log('\nHow evenly shards and groups are shared by workers\n')
  console.log(renderWorkers(result.workers))
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(result, null, 1)}\n`)
}

if (import.meta.main) main()
