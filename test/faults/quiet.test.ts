/**
 * A fault takes the doorbell of the last message, and nothing follows in its log: whoever is online has it all the same,
 * on the same connection, within seconds of the end of the fault. Roles are apart, as in a real cluster.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { createLossyFilter } from '../harness/lossy-redis.ts'
import { makeAccounts, makeGroup, newUid } from '../harness/people.ts'
import { PostgresServer } from '../harness/postgres.ts'
import { QuietChat } from '../harness/quiet-chat.ts'
import { RedisServer } from '../harness/redis.ts'
import { sharedServer } from '../harness/server.ts'
import type { ServerProcess } from '../harness/server-process.ts'
import { TcpProxy } from '../harness/tcp-proxy.ts'
import { until } from '../harness/wait.ts'

/** Longer than a loss is noticed in by luck. */
const LEASE_MS = 3000
/** From the end of the fault; the lease of a dead node and the look at it come on top of a second or two. */
const READ_MS = 10_000
const MARK = 'is lost'

const BROKER = { WOCHAT_ROLES: 'broker,api' }
const WORKER = { WOCHAT_ROLES: 'fanout' }
/** Three brokers, each with a wire of its own to Redis, and two workers. */
const [SENDING, READING, THIRD] = [0, 1, 2]

let postgres: PostgresServer
let redis: RedisServer
let chat: QuietChat
const wires: TcpProxy[] = []
const dropped = { count: 0 }
/** Messages that a wire with a filter loses. */
let isLost = (message: Buffer) => message.includes(MARK)

/** After the nodes, whose end is the hook of the shared server: hooks run from the last to the first. */
afterAll(async () => {
  for (const wire of wires) await wire[Symbol.asyncDispose]()
  await redis?.[Symbol.asyncDispose]()
  await postgres?.[Symbol.asyncDispose]()
})

const server = sharedServer(async () => {
  postgres = await PostgresServer.start()
  const database = await postgres.createDatabase()
  redis = await RedisServer.create({ persistent: true })
  await redis.start()
  for (let place = 0; place < 3; place++) {
    const filter = createLossyFilter((message) => isLost(message), dropped)
    wires.push(await TcpProxy.start(redis.port, place === READING ? filter : undefined))
  }
  const brokers = wires.map(({ port }) => ({ ...BROKER, WOCHAT_REDIS_URL: `redis://127.0.0.1:${port}` }))
  return {
    env: {
      WOCHAT_CONTACTS_REQUIRED: 'false',
      WOCHAT_NODE_LEASE_MS: String(LEASE_MS),
      WOCHAT_TAKEOVER_TIMEOUT_MS: '500',
      WOCHAT_BROADCAST_NODES_MIN: '3',
    },
    backends: {
      env: { WOCHAT_DATABASE_URL: database.url, WOCHAT_REDIS_URL: redis.url },
      async [Symbol.asyncDispose]() {},
    },
    nodes: [...brokers, WORKER, WORKER],
  }
})

beforeAll(async () => {
  chat = await QuietChat.start(server, { writer: SENDING, reader: READING, members: [SENDING, THIRD] })
}, 90_000)

/** All is well before each fault: everybody is there, and doorbells ring. */
beforeEach(async () => {
  await mend()
  await chat.gather()
  const text = `before, ${performance.now()}`
  await chat.say(text)
  await chat.untilRead(text, READ_MS)
}, 60_000)

afterAll(() => chat?.[Symbol.dispose]())

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Also after a test that failed in the middle of its fault. */
async function mend(): Promise<void> {
  for (const wire of wires) wire.heal()
  for (const node of server.nodes) {
    node.signal('SIGCONT')
    if (!node.running) await node.start()
  }
  await until(async () => {
    const pages = await server.metrics()
    return pages.find('wochat_nodes').every(({ value }) => value === server.nodes.length)
  }, 'every node to see all')
}

test('a broker is killed in the moment of the PUBACK', async () => {
  const node = server.nodes[SENDING]!
  // Its doorbells do not leave.
  wires[SENDING]!.freeze()
  await chat.say('killed', () => node.signal('SIGKILL'))
  await node.exited
  wires[SENDING]!.cut()
  wires[SENDING]!.heal()
  await chat.untilRead('killed', LEASE_MS + READ_MS)
})

test.each([
  ['the broker of the sender', 'is cut off from Redis', SENDING, 'cut'],
  ['the broker of the reader', 'is cut off from Redis', READING, 'cut'],
  ['the broker of the sender', 'has a wire to Redis that swallows everything', SENDING, 'freeze'],
  ['the broker of the reader', 'has a wire to Redis that swallows everything', READING, 'freeze'],
] as const)('%s %s', async (who, what, place, fault) => {
  const text = `${who} ${what}`
  using tablet = await tabletOfReader()
  wires[place]![fault]()
  await wait(500)
  await chat.say(`${text}, a moment ago`)
  if (place === SENDING) await chat.untilRead(`${text}, a moment ago`, LEASE_MS + READ_MS)
  else await wait(LEASE_MS)
  await chat.say(`${text}, long ago`)
  await revokeTablet(tablet)
  await wait(2500)
  wires[place]!.heal()
  for (const when of ['a moment', 'long']) await chat.untilRead(`${text}, ${when} ago`, READ_MS)
  await tablet.client.untilClosed()
})

test.each([
  ['with its data', false],
  ['without its data', true],
])('Redis is killed and comes back %s', async (how, empty) => {
  const text = `while Redis was away, back ${how}`
  await redis.kill9()
  await chat.say(text)
  await wait(2500)
  await redis.restart({ empty })
  await chat.untilRead(text, READ_MS)
})

test('a fan-out worker is killed with the message in its hands', async () => {
  const workers = server.nodes.slice(3) as [ServerProcess, ServerProcess]
  for (const worker of workers) worker.signal('SIGSTOP')
  await chat.say('in the hands of a dead worker')
  await wait(500)
  await workers[0].kill9()
  workers[1].signal('SIGCONT')
  await chat.untilRead('in the hands of a dead worker', READ_MS)
})

test('the doorbell is dropped on its way', async () => {
  const before = dropped.count
  await chat.say(`this ${MARK}`)
  await chat.untilRead(`this ${MARK}`, READ_MS)
  expect(dropped.count).toBeGreaterThan(before)
})

test('who was removed gets nothing that is written after it, also when the doorbell that says so is lost', async () => {
  const [owner, member] = [newUid('owner'), newUid('member')]
  server.serveFrom(SENDING)
  await makeAccounts(server, owner, member)
  const group = await makeGroup(server, owner, [member])
  using sender = await Device.connect(server, owner, 'phone')
  server.serveFrom(READING)
  using device = await Device.connect(server, member, 'phone', { clean: false })
  await sender.send({ id: 'm1', to: group, text: 'a member' })
  await device.untilText('a member')
  const before = dropped.count
  // The first that names the member without an entry: that they have left.
  isLost = (message) => dropped.count === before && message.includes(member) && !message.includes('"kind"')
  server.serveFrom(SENDING)
  const asOwner = server.token(owner, null)
  await server.http('groups.remove', { id: group, members: [member] }, asOwner)
  await sender.send({ id: 'm2', to: group, text: 'hidden' })
  await server.http('groups.add', { id: group, members: [member] }, asOwner)
  await sender.send({ id: 'm3', to: group, text: 'a member again' })
  await device.untilText('a member again')
  await sender.send({ id: 'm4', to: group, text: 'and still' })
  await device.untilText('and still')
  expect(device.texts).toEqual(['a member', 'a member again', 'and still'])
  expect(dropped.count).toBe(before + 1)
})

/** A second device of the reader, whose login is to be ended during the fault. */
async function tabletOfReader(): Promise<Device> {
  server.serveFrom(READING)
  return Device.connect(server, chat.reader.uid, newUid('tablet'))
}

async function revokeTablet({ id }: Device): Promise<void> {
  server.serveFrom(SENDING)
  await server.http('auth.revoke', { deviceId: id }, server.token(chat.reader.uid, 'phone'))
}
