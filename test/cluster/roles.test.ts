/** Each role runs alone and in copies, does its work and no other, and says what it is (docs/deploying.md). */
import { expect, test } from 'vitest'
import { isKnownKey, Keys } from '../../services/redis/keys.ts'
import { RedisClient } from '../../services/redis/redis.ts'
import { admin, Trace } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { directLog, makeAccounts, makeGroup, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const ROLES = ['broker', 'broker', 'api', 'api', 'fanout', 'fanout', 'push', 'push']
const SLOW_MS = 120_000

const server = sharedServer({
  env: { WOCHAT_CONTACTS_REQUIRED: 'false' },
  nodes: ROLES.map((role) => ({ WOCHAT_ROLES: role })),
})

const placesOf = (role: string) => [...ROLES.keys()].filter((place) => ROLES[place] === role)

/** An account, and a member of its group, each with a phone. */
async function twoInAGroup() {
  const [owner, member] = [newUid('owner'), newUid('member')]
  server.serveFrom(...placesOf('api'))
  await makeAccounts(server, owner, member)
  const group = await makeGroup(server, owner, [member])
  server.serveFrom(...placesOf('broker'))
  const sender = await Device.connect(server, owner, 'phone')
  const receiver = await Device.connect(server, member, 'phone')
  const cut = () => {
    sender.cut()
    receiver.cut()
  }
  return { owner, member, group, sender, receiver, [Symbol.dispose]: cut }
}

test(
  'brokers, API nodes, fan-out workers and push workers, two of each: people chat, and each node does its part',
  async () => {
    using people = await twoInAGroup()
    const { owner, member, group, sender, receiver } = people
    await sender.send({ id: 'm1', to: member, text: 'to one' })
    await receiver.untilText('to one')
    await sender.send({ id: 'm2', to: group, text: 'to all' })
    await receiver.untilText('to all')

    const [broker, api] = ['broker', 'api'].map((role) => server.nodes[placesOf(role)[0]!]!)
    expect(await statusOf(`http://127.0.0.1:${broker!.httpPort}/v1/contacts.list`)).toBe(404)
    expect(await statusOf(`http://127.0.0.1:${api!.httpPort}/v1/contacts.list`)).toBe(401)
    server.serveFrom(placesOf('api')[0]!)
    await expect(Device.connect(server, owner, 'tablet')).rejects.toThrow('ECONNREFUSED')

    // Each announces itself once a second.
    const nodes = await until(async () => {
      const { nodes } = await admin(server, 'nodes', {})
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
  },
  SLOW_MS,
)

test(
  'one message is followed from the node that took it, by HTTP or for an operator, to the broker of its reader',
  async () => {
    using people = await twoInAGroup()
    const { owner, member } = people
    const message = { to: member, type: 'text', body: { text: 'x' } }
    const brokers = expect.stringMatching(new RegExp(`^node-(${placesOf('broker').join('|')})$`))

    const api = placesOf('api')[0]!
    server.serveFrom(api)
    const token = server.token(owner, null)
    const byHttp = await follow(owner, member, 'by-http', async (id) => {
      await server.http('messages.send', { ...message, id: 'another' }, token)
      await server.http('messages.send', { ...message, id }, token)
    })
    const reached = { rung: brokers, sent: brokers, acknowledged: brokers }
    expect(byHttp).toEqual({ accepted: `node-${api}`, stored: `node-${api}`, ...reached })

    const { id: asked } = (await admin(server, 'nodes', {})).nodes.find(({ isSelf }) => isSelf)!
    const operated = asked.split('.')[0]
    const byOperator = await follow(owner, member, 'by-operator', (id) =>
      admin(server, 'sendAs', { uid: owner, ...message, id }),
    )
    expect(byOperator).toEqual({ accepted: operated, stored: operated, ...reached })
  },
  SLOW_MS,
)

/** Each step of one message until `member` has acknowledged it, with the node where it was taken. */
async function follow(
  author: string,
  member: string,
  id: string,
  send: (id: string) => Promise<unknown>,
): Promise<Record<string, string>> {
  await using trace = await Trace.start(server, { log: directLog(author, member), id })
  await send(id)
  await until(
    () => trace.steps.some(({ step, uid }) => step === 'acknowledged' && uid === member),
    'the acknowledgement',
  )
  const seqs = new Set(trace.steps.map(({ seq }) => seq).filter((seq) => seq !== null))
  expect(seqs.size).toBe(1)
  return Object.fromEntries(trace.steps.map(({ step, node }) => [step, node.split('.')[0]!]))
}

test(
  'every key that the nodes leave in Redis is one of the table, and has a life',
  async () => {
    using people = await twoInAGroup()
    const { owner, member, group, sender, receiver } = people
    await sender.send({ id: 'm1', to: group, text: 'to all' })
    await receiver.untilText('to all')
    server.serveFrom(...placesOf('api'))
    // More than a moment's worth, so that the limit of the account is still there afterwards.
    for (let i = 0; i < 30; i++) {
      await server.http('presence.get', { uids: [member] }, server.token(owner, null)).catch(() => {})
    }
    await admin(server, 'revoke', { uid: member, device: 'phone' })
    await receiver.client.untilClosed()

    const { WOCHAT_REDIS_URL: url, WOCHAT_REDIS_KEY_PREFIX: prefix = 'wochat' } = server.settings
    await using client = new RedisClient({
      url: url!,
      name: 'test',
      log: { error() {}, warn() {}, info() {} } as never,
    })
    await client.untilReady(5000)
    const names = await client.commands.keys(`${prefix}:*`)
    for (const key of names) {
      expect(isKnownKey(prefix, key), key).toBe(true)
      expect(await client.commands.pttl(key), key).not.toBe(-1)
    }
    const keys = new Keys(prefix)
    expect(names).toEqual(
      expect.arrayContaining([keys.fanoutStream(0), keys.pushJobs, keys.presence(owner as never)]),
    )
  },
  SLOW_MS,
)

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url, {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
  await answer.arrayBuffer()
  return answer.status
}
