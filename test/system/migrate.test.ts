/** `wochat migrate`: a real installation with history moves into PostgreSQL, killed in the middle. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { befriend, directLog, type Login, logIn, makeGroup, newPhone, newUid } from '../harness/people.ts'
import { createDatabase, type TestDatabase } from '../harness/postgres.ts'
import { RedisServer } from '../harness/redis.ts'
import { cleanEnv, REPO, sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const ONE_NODE = { nodes: [] }
/** Enough that a move with a transaction per row can be met in the middle. */
const MESSAGES = 400
const MOVE_MS = 60_000

type Ended = { code: number | null; signal: NodeJS.Signals | null; text: string }

/** Runs the command; `onStart` gets the process. */
async function migrate(
  dataDir: string,
  databaseUrl: string,
  more: { args?: string[]; onStart?: (pid: number) => Promise<void> } = {},
): Promise<Ended> {
  const args = ['migrate', '--from', 'sqlite', '--to', 'postgres', ...(more.args ?? [])]
  const child = spawn(process.execPath, ['main.ts', ...args], {
    cwd: REPO,
    timeout: MOVE_MS,
    killSignal: 'SIGKILL',
    // As in operation: what the command line does not say comes from the configuration.
    env: cleanEnv({
      WOCHAT_DATA_DIR: dataDir,
      WOCHAT_DATABASE_URL: databaseUrl,
      WOCHAT_REDIS_URL: 'redis://127.0.0.1:1',
    }),
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  const exited = once(child, 'exit')
  await more.onStart?.(child.pid!)
  const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null]
  return { code, signal, text }
}

/** Rows of the database as whoever asks sees them. */
async function rowsOf<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

/** Everything that people can read of an installation, over HTTP. */
async function observe(server: TestServer, uids: readonly string[]) {
  const seen = new Map<string, unknown>()
  for (const uid of uids) {
    const token = server.token(uid, null)
    const list = await server.http<{ items: { log: string }[] }>('conversations.list', {}, token)
    seen.set(`${uid} conversations`, list)
    for (const { log } of [...list.items, { log: `n:${uid}` }]) {
      seen.set(`${uid} ${log}`, await server.http('messages.page', { log, limit: 200 }, token))
    }
    seen.set(`${uid} contacts`, await server.http('contacts.list', {}, token))
    const groups = await server.http<{ items: { id: string }[] }>('groups.list', {}, token)
    seen.set(`${uid} groups`, groups)
    for (const { id } of groups.items) {
      seen.set(`${uid} members ${id}`, await server.http('groups.members', { id }, token))
    }
    const { devices } = await server.http<{ devices: { seenAt: number }[] }>('auth.devices', {}, token)
    // When a device was seen is written some time after it has left.
    seen.set(
      `${uid} devices`,
      devices.map(({ seenAt: _later, ...device }) => device),
    )
  }
  return Object.fromEntries(seen)
}

describe('an installation that is moved', () => {
  const server = sharedServer(ONE_NODE)
  let database: TestDatabase
  let login: Login
  let before: Record<string, unknown>
  let group: string
  const [alice, bob, carol] = [newUid('alice'), newUid('bob'), newUid('carol')]
  const people = [alice, bob, carol]
  const retained = `u/${bob}/own/state`

  beforeAll(async () => {
    database = await createDatabase()
    await makeHistory()
    before = await observe(server, people)
    // Killed, not stopped: the last entries are in the journal only, and sessions count as connected.
    await server.kill9()
  }, MOVE_MS)
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
  })

  async function makeHistory(): Promise<void> {
    for (const [a, b] of [
      [alice, bob],
      [alice, carol],
      [bob, carol],
    ] as const)
      await befriend(server, a, b)
    group = await makeGroup(server, alice, [bob, carol])
    login = await logIn(server, { phone: newPhone(), uid: newUid('dora'), deviceId: 'phone' })
    // Bob's phone has a session, takes the first messages, publishes to its own space, and goes.
    using phone = await Device.connect(server, bob, 'phone', { clean: false })
    await phone.untilSynced()
    await phone.client.publishAcked({ topic: retained, payload: 'on', retain: true })
    await phone.client.subscribe(`u/${bob}/own/#`)
    using sender = await Device.connect(server, alice, 'pc')
    await sender.send({ id: 'first', to: bob, text: 'first' })
    await phone.untilText('first')
    await phone.leave()
    using tablet = await Device.connect(server, bob, 'tablet', { subscribe: false })
    await tablet.client.publishAcked({ topic: `u/${bob}/own/queued`, payload: Buffer.from([0, 1, 255]) })
    const ids = Array.from({ length: MESSAGES }, (_, i) => `m-${i}`)
    for (const id of ids) sender.publishSend({ id, to: bob, text: `${id} \u0000 \ufdd0 💥` })
    await sender.send({ id: 'nul \u0000', to: group, text: 'to all' })
    await server.http('conversations.read', { log: directLog(alice, bob), seq: 7 }, server.token(bob, null))
    await server.http('groups.remove', { id: group, members: [carol] }, server.token(alice, null))
    await server.http('contacts.block', { uid: carol }, server.token(bob, null))
    await sender.send({ id: 'last', to: bob, text: 'last' })
  }

  test(
    'is refused while its server runs, and a database that holds something else is refused',
    async () => {
      await using running = await startServer(ONE_NODE)
      await using other = await createDatabase()
      const locked = await migrate(running.dataDir, other.url)
      expect(locked).toMatchObject({ code: 1, text: expect.stringContaining('is running on') })
      await rowsOf(other.url, 'create table orders (n integer)')
      const foreign = await migrate(server.dataDir, other.url)
      expect(foreign).toMatchObject({ code: 1, text: expect.stringContaining('other tables (orders') })
    },
    MOVE_MS,
  )

  test(
    'goes on where it was killed, and is compared row by row',
    async () => {
      const killed = await migrate(server.dataDir, database.url, {
        args: ['--batch-rows', '1'],
        async onStart(pid) {
          await until(async () => (await entriesMoved(database.url)) >= 10, 'the entries to move', MOVE_MS)
          process.kill(pid, 'SIGKILL')
        },
      })
      expect(killed.signal).toBe('SIGKILL')
      const arrived = await entriesMoved(database.url)
      expect(arrived).toBeLessThan(MESSAGES)
      const resumed = await migrate(server.dataDir, database.url)
      expect(resumed).toMatchObject({ code: 0, text: expect.stringContaining('moved and compared') })
      expect(resumed.text).toContain(`resumed entry: ${arrived} of`)
      expect(resumed.text).not.toContain('DIFFERS')
    },
    MOVE_MS,
  )

  test(
    'is for its people on a cluster what it was: pages, unread, logins, sessions and what waits for them',
    async () => {
      await using cluster = await startCluster(database.url)
      expect(await observe(cluster, people)).toEqual(before)

      // A login and its tokens, signed with the key that moved.
      await cluster.http('auth.devices', {}, login.accessToken)
      const { refreshToken } = login
      expect(await cluster.http('auth.refresh', { refreshToken })).toMatchObject({ uid: login.uid })

      // A session that goes on at its cursor, and what waits on its plain side.
      using phone = await Device.connect(cluster, bob, 'phone', { clean: false, subscribe: false })
      expect(phone.sessionPresent).toBe(true)
      const missed = await phone.untilMessages(MESSAGES + 2)
      const ids = Array.from({ length: MESSAGES }, (_, i) => `m-${i}`)
      const direct = missed.filter(({ log }) => log === directLog(alice, bob)).map(({ id }) => id)
      expect(direct).toEqual([...ids, 'last'])
      await until(() => plainTo(phone, `u/${bob}/own/queued`).length > 0, 'the queued plain message')
      expect(plainTo(phone, `u/${bob}/own/queued`)).toEqual([Buffer.from([0, 1, 255])])
      await phone.client.subscribe(retained)
      await until(() => plainTo(phone, retained).length > 0, 'the retained message')
      expect(String(plainTo(phone, retained)[0])).toBe('on')

      // A message that was accepted before is the same one, and the log goes on without a gap.
      using sender = await Device.connect(cluster, alice, 'pc')
      const again = await sender.send({ id: 'last', to: bob, text: 'last' })
      const next = await sender.send({ id: 'after the move', to: bob, text: 'next' })
      expect(next.seq).toBe(again.seq! + 1)
      expect(again.seq).toBe(missed.find(({ id }) => id === 'last')?.seq)
    },
    MOVE_MS,
  )

  test(
    'cannot be moved into the same database again',
    async () => {
      const again = await migrate(server.dataDir, database.url)
      expect(again).toMatchObject({ code: 1, text: expect.stringContaining('holds data already') })
    },
    MOVE_MS,
  )

  test(
    'that changes in between is found to differ, and named',
    async () => {
      await using other = await createDatabase()
      const killed = await migrate(server.dataDir, other.url, {
        args: ['--batch-rows', '1'],
        async onStart(pid) {
          await until(async () => (await entriesMoved(other.url)) >= 10, 'the entries to move', MOVE_MS)
          process.kill(pid, 'SIGKILL')
        },
      })
      expect(killed.signal).toBe('SIGKILL')
      await expect(startCluster(other.url)).rejects.toThrow()
      await rowsOf(other.url, "update entry set body = '{}' where seq = 1")
      await rowsOf(other.url, 'delete from entry where seq = 2')
      const { code, text } = await migrate(server.dataDir, other.url)
      expect(code).toBe(1)
      expect(text).toMatch(/differs: entry: \d+ rows, in the source \d+/)
      expect(text).toMatch(/differs: log \S+: entries is \d+, in the source \d+/)
      expect(text).toContain('do not start a server on it')
    },
    MOVE_MS,
  )
})

/** One node of a cluster on a database that exists. */
async function startCluster(databaseUrl: string): Promise<TestServer> {
  const redis = await RedisServer.create()
  await redis.start()
  onTestFinished(() => redis[Symbol.asyncDispose]())
  const env = { WOCHAT_DATABASE_URL: databaseUrl, WOCHAT_REDIS_URL: redis.url }
  return startServer({ nodes: [{}], backends: { env, async [Symbol.asyncDispose]() {} } })
}

function plainTo(device: Device, topic: string): Buffer[] {
  const published = device.client.received('publish').filter((packet) => packet.topic === topic)
  return published.map(({ payload }) => Buffer.from(payload))
}

/** How many entries have arrived; 0 while the tables are not there. */
async function entriesMoved(url: string): Promise<number> {
  const rows = await rowsOf<{ count: number }>(url, 'select count(*)::int as count from entry').catch(
    () => [],
  )
  return rows[0]?.count ?? 0
}
