/** Two versions side by side: the nodes of a cluster are replaced one by one while people chat. */
import { expect, test } from 'vitest'
import { VERSION } from '../../version.ts'
import { admin } from '../harness/admin.ts'
import { Metrics } from '../harness/metrics.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import type { ServerProcess } from '../harness/server-process.ts'
import { Soak } from '../harness/soak.ts'
import { until } from '../harness/wait.ts'
import { makeNewerVersion, NEWER_VERSION } from './newer-version.ts'

const SETTINGS = {
  WOCHAT_CONTACTS_REQUIRED: 'false',
  WOCHAT_DRAIN_STEP_MS: '100',
  WOCHAT_NODE_LEASE_MS: '3000',
}
const TEST_MS = 240_000

test(
  'nodes of a newer version take the place of the old ones under a load, and nothing is lost',
  async () => {
    using newer = makeNewerVersion()
    await using server = await startServer({ env: SETTINGS, nodes: [{}, {}, {}] })
    await using soak = await Soak.start(server, { each: 100_000, paceMs: 500 })
    for (const [place, node] of server.nodes.entries()) {
      await untilMoreIsAnswered(soak)
      await replace(server, node, newer.program)
      const old = server.nodes.length - place - 1
      await untilVersions(server, old, place + 1)
      // The first node, of the newer version by now, asks all; an old one skips the frame that it does not know, and answers.
      expect((await admin(server, 'queues', {})).away).toEqual([])
      if (old > 0) expect(await unknownOf(server.nodes.at(-1)!)).toBeGreaterThan(0)
      expect((await Promise.all(server.nodes.map((each) => each.isReady()))).every(Boolean)).toBe(true)
    }
    await untilMoreIsAnswered(soak)
    soak.enough()
    await soak.verify()
    expect(faultsOf(server)).toEqual([])
  },
  TEST_MS,
)

test(
  'an old version that starts on the tables of a newer one is refused, and says why',
  async () => {
    using newer = makeNewerVersion()
    await using server = await startServer({ env: SETTINGS, nodes: [{}, {}] })
    const [first, second] = server.nodes as [ServerProcess, ServerProcess]
    await replace(server, first, newer.program)
    await second.stop()
    await expect(second.start()).rejects.toThrow(
      `WOCHAT_DATABASE_URL: the database was written by a newer wochat (schema ${newer.schema}, known `,
    )
    expect(await first.isReady()).toBe(true)
  },
  TEST_MS,
)

/** The load goes on. */
async function untilMoreIsAnswered(soak: Soak): Promise<void> {
  const before = soak.answered
  await until(
    () => soak.answered > before + 500,
    () => `500 more answers than ${before}, not ${soak.answered}`,
    60_000,
  )
}

/** Drains a node, stops it, and starts another version in its place. */
async function replace(server: TestServer, node: ServerProcess, program: string): Promise<void> {
  const id = await idOf(server, node)
  await admin(server, 'drain', { node: id })
  await until(async () => {
    const { nodes } = await admin(server, 'drainStatus', { node: id })
    return nodes[0]?.state === 'drained'
  }, 'the node to be drained')
  await node.stop()
  node.program = program
  await node.start()
}

async function idOf(server: TestServer, { settings }: ServerProcess): Promise<string> {
  const { nodes } = await admin(server, 'nodes', {})
  return nodes.find(({ name }) => name === settings.WOCHAT_NODE_NAME)!.id
}

/** The admin port of the first node shows so many nodes of each version. */
async function untilVersions(server: TestServer, old: number, newer: number): Promise<void> {
  const wanted = [...Array<string>(old).fill(VERSION), ...Array<string>(newer).fill(NEWER_VERSION)]
  let shown: string[] = []
  await until(
    async () => {
      const { nodes } = await admin(server, 'nodes', {})
      shown = nodes.map(({ version }) => version)
      return shown.toSorted().join() === wanted.toSorted().join()
    },
    () => `nodes of ${wanted}, not of ${shown}`,
  )
}

/** Frames that a node has heard and does not know. */
async function unknownOf(node: ServerProcess): Promise<number> {
  return new Metrics(await node.metricsText()).sum('wochat_bus_unknown_total')
}

/** What nodes wrote at the level of an error. */
function faultsOf(server: TestServer): string[] {
  return server.nodes.flatMap(({ log }) => log.lines.filter((line) => /"level":(50|60)/.test(line)))
}
