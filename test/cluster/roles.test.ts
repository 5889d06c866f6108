/** Each role runs alone and in copies, does its work and no other, and says what it is (docs/deploying.md). */
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { makeAccounts, makeGroup, newUid } from '../harness/people.ts'
import { startServer } from '../harness/server.ts'
import type { ServerProcess } from '../harness/server-process.ts'
import { until } from '../harness/wait.ts'

const ROLES = ['broker', 'broker', 'api', 'api', 'fanout', 'fanout', 'push', 'push']

test('brokers, API nodes, fan-out workers and push workers, two of each: people chat, and each node does its part', async () => {
  await using server = await startServer({
    env: { WOCHAT_CONTACTS_REQUIRED: 'false' },
    nodes: ROLES.map((role) => ({ WOCHAT_ROLES: role })),
  })
  const [broker, otherBroker, api] = server.nodes as [ServerProcess, ServerProcess, ServerProcess]

  const owner = newUid('owner')
  const member = newUid('member')
  server.serveFrom(2, 3)
  await makeAccounts(server, owner, member)
  const group = await makeGroup(server, owner, [member])

  server.serveFrom(0, 1)
  using sender = await Device.connect(server, owner, 'phone')
  using receiver = await Device.connect(server, member, 'phone')
  await sender.send({ id: 'm1', to: member, text: 'to one' })
  await receiver.untilText('to one')
  await sender.send({ id: 'm2', to: group, text: 'to all' })
  await receiver.untilText('to all')

  expect(await statusOf(`http://127.0.0.1:${broker.httpPort}/v1/contacts.list`)).toBe(404)
  expect(await statusOf(`http://127.0.0.1:${api.httpPort}/v1/contacts.list`)).toBe(401)
  await expect(Device.connect(onlyAt(server, 2), owner, 'tablet')).rejects.toThrow('ECONNREFUSED')

  // Each announces itself once a second.
  const nodes = await until(async () => {
    const answer = await fetch(`http://127.0.0.1:${otherBroker.adminPort}/admin/v1/nodes`)
    const { nodes } = (await answer.json()) as { nodes: { roles: string[]; state: string }[] }
    return nodes.every(({ state }) => state === 'ready') && nodes
  }, 'all nodes to be ready')
  expect(nodes.map(({ roles }) => roles.join()).sort()).toEqual([...ROLES].sort())

  const tellsOfPush = await Promise.all(
    server.nodes.map(async ({ adminPort }) => {
      const page = await fetch(`http://127.0.0.1:${adminPort}/metrics`)
      return (await page.text()).includes('wochat_push_stream_items 0')
    }),
  )
  expect(tellsOfPush).toEqual(ROLES.map((role) => role === 'push'))
}, 120_000)

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url, {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
  await answer.arrayBuffer()
  return answer.status
}

function onlyAt<Server extends { serveFrom(...places: number[]): void }>(
  server: Server,
  place: number,
): Server {
  server.serveFrom(place)
  return server
}
