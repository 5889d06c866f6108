/** A cluster whose fan-out workers are all gone: operators hear of it, and group messages go on. */
import { expect, test } from 'vitest'
import { readyz } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { Metrics } from '../harness/metrics.ts'
import { makeAccounts, makeGroup, newUids } from '../harness/people.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const SETTINGS = { WOCHAT_CONTACTS_REQUIRED: 'false', WOCHAT_NODE_LEASE_MS: '3000' }
const BROKER = { WOCHAT_ROLES: 'broker,api' }
const WARNING = 'no live node has the role fanout: each node rings its groups itself'
const TEST_MS = 120_000

test(
  'group messages go on when the last worker dies, with a warning until another one comes',
  async () => {
    await using server = await startServer({
      env: SETTINGS,
      nodes: [BROKER, BROKER, { WOCHAT_ROLES: 'fanout' }],
    })
    const worker = server.nodes[2]!
    const [ann, ben] = newUids('ann', 'ben') as [string, string]
    server.serveFrom(0, 1)
    await makeAccounts(server, ann, ben)
    const group = await makeGroup(server, ann, [ben])
    server.serveFrom(0)
    await using sender = await Device.connect(server, ann, 'phone')
    server.serveFrom(1)
    await using receiver = await Device.connect(server, ben, 'phone')
    const received = () => receiver.inbox.filter(({ kind }) => kind === 'message').map(({ id }) => id)
    const send = async (...ids: string[]) => {
      for (const id of ids) await sender.send({ id, to: group, text: id })
    }
    await untilWarned(server, false)
    await send('with-1', 'with-2')
    await until(() => received().length === 2, 'what a worker rang')

    await worker.kill9()
    await send('nobody-1', 'nobody-2')
    await untilWarned(server, true)
    await send('own-1', 'own-2')
    await until(
      () => received().length === 6,
      () => `six messages, not ${received()}`,
    )
    const shown = new Metrics(await server.nodes[0]!.metricsText())
    expect(shown.sum('wochat_bus_own_rings_total')).toBeGreaterThanOrEqual(2)
    expect(shown.find('wochat_nodes_of_role', { role: 'fanout' })).toMatchObject([{ value: 0 }])

    await worker.start()
    await untilWarned(server, false)
    await send('again-1', 'again-2')
    await until(
      () => received().length >= 8,
      () => `eight messages, not ${received()}`,
    )
    expect(received()).toEqual([
      ...['with-1', 'with-2', 'nobody-1', 'nobody-2'],
      ...['own-1', 'own-2', 'again-1', 'again-2'],
    ])
    // Once for the outage; once more where a broker was ready before the worker.
    for (const { log } of server.nodes.slice(0, 2)) {
      const said = log.lines.filter((line) => line.includes(WARNING)).length
      expect(said).toBeGreaterThanOrEqual(1)
      expect(said).toBeLessThanOrEqual(2)
    }
  },
  TEST_MS,
)

async function untilWarned(server: TestServer, isWarned: boolean): Promise<void> {
  await until(
    async () => {
      const { status, warnings } = await readyz(server)
      return status === 200 && warnings.includes(WARNING) === isWarned
    },
    `the node ${isWarned ? 'to warn' : 'not to warn'}`,
  )
}
