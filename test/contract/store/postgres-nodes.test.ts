/** What a PostgreSQL store promises to several nodes that share it. docs/adr/0005-cluster.md has the argument. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildClientId, type DeviceId, type LogId } from '../../../protocol/ids.ts'
import type { Caller } from '../../../services/store/contract.ts'
import type { SharedStore, StoreChanges } from '../../../services/store/shared-store.ts'
import { createDatabase, type TestDatabase } from '../../harness/postgres.ts'
import { until } from '../../harness/wait.ts'
import { recordFeed } from './feed-recorder.ts'
import { operate } from './operator.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  createPeople,
  directLog,
  readAll,
  removeMembers,
  send,
  seqsOf,
} from './people.ts'
import { openStore } from './postgres-engine.ts'

const NODES = 4
const BACKLOG_MAX = 100
const DEVICES_MAX = 20

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

let database: TestDatabase
let nodes: SharedStore[]
let store: SharedStore
let client: pg.Client

beforeAll(async () => {
  database = await createDatabase()
  nodes = await Promise.all(upTo(NODES).map((n) => openStore(database.url, { node: `node ${n}` })))
  store = nodes[0]!
  client = new pg.Client(database.url)
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
  await database[Symbol.asyncDispose]()
})

/** All pages of changes, as small as can be. */
async function changesSince(since: string, rowsMax = 2): Promise<StoreChanges> {
  const all: StoreChanges = { logs: [], windows: [], endedLogins: [] }
  for (;;) {
    const { changes, next, isLast } = await store.changesSince({ since, rowsMax })
    expect(changes.logs.length + changes.windows.length + changes.endedLogins.length).toBeLessThanOrEqual(
      rowsMax,
    )
    all.logs.push(...changes.logs)
    all.windows.push(...changes.windows)
    all.endedLogins.push(...changes.endedLogins)
    if (isLast) return all
    since = next
  }
}

/** Appends to a log in a transaction that stays open until the answer is called. */
async function appendOpenly(
  log: LogId,
  author: Caller,
): Promise<{ seq: number; at: number; commit: () => Promise<void> }> {
  await client.query('begin')
  const { rows } = await client.query(
    `with grown as (
       update log set head = head + 1, messages = messages + 1,
         last_at = greatest(last_at, (extract(epoch from clock_timestamp()) * 1000)::bigint)
       where name = $1 returning n, head, messages, last_at
     )
     insert into entry (log, seq, message_no, at, kind, account, type, body)
     select grown.n, head, messages, last_at, 'message', account.n, 'text', '{"text":"late"}'
     from grown, account where uid = $2 returning seq::int, at`,
    [log, author.uid],
  )
  return {
    seq: rows[0].seq,
    at: Number(rows[0].at),
    commit: async () => {
      await client.query('commit')
    },
  }
}

const openSession = (node: SharedStore, { uid }: Caller, device = 'phone' as DeviceId) =>
  node.openSession({
    clientId: buildClientId(uid, device),
    uid,
    device,
    sid: null,
    issuedAt: Date.now() + 1000,
    cleanStart: false,
    persistent: true,
    devicesMax: DEVICES_MAX,
  })

describe('sends of several nodes', () => {
  test('number each log without gaps, and an id sent to two nodes at once is one entry', async () => {
    const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
    const group = await createGroup(store, alice, bob, carol)
    const feeds = nodes.map(recordFeed)
    const writers: [Caller, LogId][] = [
      [alice, group],
      [bob, group],
      [carol, group],
      [alice, directLog(alice, bob)],
      [bob, directLog(alice, bob)],
      [bob, directLog(bob, carol)],
      [alice, directLog(alice, carol)],
    ]
    const perWriter = 120
    const answers = await Promise.all(
      writers.flatMap(([from, log], w) =>
        upTo(perWriter).map(async (n) => {
          const id = `${w} ${n}`
          const seqs = await Promise.all(
            [n, n + (n % 3 === 0 ? 1 : 0)].map((node) => send(nodes[node % NODES]!, from, log, id, id)),
          )
          expect(seqs[0]).toEqual(seqs[1])
          return `${log} ${seqs[0]!.seq}`
        }),
      ),
    )
    expect(new Set(answers).size).toBe(writers.length * perWriter)
    for (const log of new Set(writers.map(([, log]) => log))) {
      const reader = log.includes(carol.uid) ? carol : alice
      const entries = await readAll(nodes[1]!, reader, log)
      const sent = writers.filter(([, of]) => of === log).length * perWriter
      expect(seqsOf(entries)).toEqual(upTo(sent + (log === group ? 1 : 0)))
      const told = feeds.flatMap((feed) => feed.entries.filter((entry) => entry.log === log))
      expect(seqsOf(told).sort((a, b) => a - b)).toEqual(seqsOf(entries).slice(log === group ? 1 : 0))
    }
  })

  test('make a direct log once when both write the first message at once', async () => {
    for (let i = 0; i < 10; i++) {
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const answers = await Promise.all([
        send(nodes[1]!, alice, log, 'a'),
        send(nodes[2]!, bob, log, 'b'),
        send(nodes[3]!, alice, log, 'c'),
      ])
      expect(answers.map(({ seq }) => seq).sort()).toEqual([1, 2, 3])
      expect(seqsOf(await readAll(store, bob, log))).toEqual([1, 2, 3])
    }
  })

  test('are refused from the moment on at which another node ends the right to send', async () => {
    const [alice, bob] = await createFriends(store, 'alice', 'bob')
    const group = await createGroup(store, alice, bob)
    await send(nodes[1]!, bob, group, 'in')
    await send(nodes[1]!, bob, directLog(alice, bob), 'in')
    await removeMembers(store, alice, group, bob)
    await store.run({ name: 'contacts.block', caller: alice, params: { uid: bob.uid } })
    await expect(send(nodes[1]!, bob, group, 'out')).rejects.toMatchObject({ code: 'not_member' })
    await expect(send(nodes[1]!, bob, directLog(alice, bob), 'out')).rejects.toMatchObject({
      code: 'blocked',
    })
  })
})

describe('what has changed since a position', () => {
  test('has the commit of a transaction that was open at the position', async () => {
    const [alice, bob] = await createFriends(store, 'alice', 'bob')
    const log = directLog(alice, bob)
    await send(store, alice, log, 'first')
    const open = await appendOpenly(log, alice)
    const position = await store.position()
    await open.commit()
    expect((await changesSince(position)).logs).toContainEqual({ log, epoch: 'k1', head: open.seq })
  })

  test('has logs, windows and ended logins, each once, by pages of any size', async () => {
    const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
    const before = directLog(alice, bob)
    await send(store, alice, before, 'before')
    const group = await createGroup(store, alice, bob)
    const position = await store.position()
    const after = directLog(alice, carol)
    await send(nodes[1]!, alice, after, 'after')
    await send(nodes[2]!, alice, after, 'again')
    await addMembers(store, alice, group, carol)
    await removeMembers(store, alice, group, bob)
    await store.revokeDevice({ uid: bob.uid, device: 'phone' as DeviceId })
    await operate(store, 'suspend', { uid: carol.uid, reason: 'spam' })
    for (const rowsMax of [1, 2, 1000]) {
      const { logs, windows, endedLogins } = await changesSince(position, rowsMax)
      expect(logs.filter(({ log }) => log === after)).toEqual([{ log: after, epoch: 'k1', head: 2 }])
      expect(logs.filter(({ log }) => log === group)).toEqual([{ log: group, epoch: 'k1', head: 3 }])
      expect(logs.map(({ log }) => log)).not.toContain(before)
      expect(windows.filter(({ log }) => log === group)).toEqual(
        expect.arrayContaining([
          { log: group, uid: carol.uid, fromSeq: 2, toSeq: null },
          { log: group, uid: bob.uid, fromSeq: 1, toSeq: 3 },
        ]),
      )
      expect(endedLogins).toContainEqual({ uid: bob.uid, device: 'phone', sid: null })
      expect(endedLogins).toContainEqual({ uid: carol.uid, device: null, sid: null })
    }
    expect(await changesSince(await store.position())).toEqual({ logs: [], windows: [], endedLogins: [] })
  })
})

describe('where logs stand for a session', () => {
  test('is at its stored cursors, and listed even when nothing waits', async () => {
    const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
    const [first, second] = [directLog(alice, bob), directLog(alice, carol)]
    await send(store, bob, first, 'old')
    const { session, generation } = await openSession(store, alice)
    await store.startInbox({ uid: alice.uid, session, generation, backlogMax: BACKLOG_MAX })
    await send(store, carol, second, 'new')
    const place = { uid: alice.uid, session, startedAt: Date.now(), backlogMax: BACKLOG_MAX }
    const logs = [second, first, `g:${'x'.repeat(20)}` as LogId]
    expect(await nodes[1]!.placeLogs({ ...place, logs })).toEqual([
      { log: second, epoch: 'k1', cursor: 0, head: 1, gap: null },
      { log: first, epoch: 'k1', cursor: 1, head: 1, gap: null },
    ])
    await store.saveCursors([{ session: session!, generation, log: second, seq: 1, epoch: 'k1' }])
    expect(await nodes[2]!.placeLogs({ ...place, logs: [second] })).toMatchObject([{ cursor: 1, head: 1 }])
  })

  test('begins with a gap where more waits than may', async () => {
    const [alice, bob] = await createFriends(store, 'alice', 'bob')
    const { session, generation } = await openSession(store, alice)
    await store.startInbox({ uid: alice.uid, session, generation, backlogMax: BACKLOG_MAX })
    await Promise.all(upTo(10).map((n) => send(store, bob, directLog(alice, bob), `${n}`)))
    const place = {
      uid: alice.uid,
      session,
      startedAt: Date.now(),
      backlogMax: 4,
      logs: [directLog(alice, bob)],
    }
    expect(await store.placeLogs(place)).toMatchObject([
      { cursor: 0, head: 10, gap: { to: 6, reason: 'backlog' } },
    ])
  })

  test('without stored cursors is behind what its start has not seen, also of transactions then open', async () => {
    const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
    const log = directLog(alice, bob)
    const { at } = await send(store, bob, log, 'old')
    // Times are whole milliseconds: what is as old as the oldest open transaction may come once more.
    await until(() => Date.now() > at + 1, 'the next millisecond')
    const open = await appendOpenly(log, bob)
    const inbox = { uid: alice.uid, session: null, generation: 0, backlogMax: BACKLOG_MAX }
    const { startedAt } = await nodes[1]!.startInbox(inbox)
    await open.commit()
    await send(store, bob, log, 'new')
    await send(store, carol, directLog(alice, carol), 'first')
    const place = { uid: alice.uid, session: null, startedAt, backlogMax: BACKLOG_MAX }
    expect(await store.placeLogs({ ...place, logs: [log, directLog(alice, carol)] })).toMatchObject([
      { cursor: open.seq - 1, head: open.seq + 1 },
      { cursor: 0, head: 1 },
    ])
  })

  test('is the last entry up to its start, where all was seen', async () => {
    const [alice, bob] = await createFriends(store, 'alice', 'bob')
    const log = directLog(alice, bob)
    const { at } = await send(store, bob, log, 'old')
    const place = { uid: alice.uid, session: null, backlogMax: BACKLOG_MAX, logs: [log] }
    expect(await store.placeLogs({ ...place, startedAt: at })).toMatchObject([{ cursor: 1, head: 1 }])
    expect(await store.placeLogs({ ...place, startedAt: at - 1 })).toMatchObject([{ cursor: 0, head: 1 }])
  })
})

describe('sessions of several nodes', () => {
  test('a device taken over by another node fences the first', async () => {
    const [alice] = await createPeople(store, 'alice')
    const first = await openSession(nodes[0]!, alice)
    const second = await openSession(nodes[1]!, alice)
    expect(second).toMatchObject({ session: first.session, generation: first.generation + 1, present: true })
    const clientId = buildClientId(alice.uid, 'phone' as DeviceId)
    await nodes[0]!.closeSession({ clientId, ...first, session: first.session!, expiresAt: null })
    expect((await openSession(nodes[2]!, alice)).session).toBe(first.session)
  })

  test('a device opened by all nodes at once has one session, and each a generation of its own', async () => {
    const [alice] = await createPeople(store, 'alice')
    const opened = await Promise.all(nodes.map((node) => openSession(node, alice)))
    expect(new Set(opened.map(({ session }) => session)).size).toBe(1)
    expect(new Set(opened.map(({ generation }) => generation)).size).toBe(NODES)
  })

  test('those of dead nodes end and those of live ones stay; of several nodes that end them, each is told once', async () => {
    const people = await createPeople(store, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')
    for (const [i, person] of people.entries()) await openSession(nodes[i % 2]!, person)
    await nodes[2]!.adoptSessions({ expiresAt: Date.now() - 1, except: ['node 1', 'node 3', 'node 4'] })
    const ended = (await Promise.all(nodes.map((node) => node.expireSessions()))).flat()
    const ours = ended.filter((id) => people.some(({ uid }) => id.startsWith(`${uid}/`)))
    const ofNode2 = people.filter((_, i) => i % 2 === 1).map(({ uid }) => `${uid}/phone`)
    expect(ours.sort()).toEqual(ofNode2.sort())
  })

  test('devices of one account that connect to all nodes at once stay within their number', async () => {
    const [alice] = await createPeople(store, 'alice')
    const devices = upTo(DEVICES_MAX + 10).map((n) => `device-${n}` as DeviceId)
    const opened = await Promise.allSettled(
      devices.map((device, i) => openSession(nodes[i % NODES]!, alice, device)),
    )
    expect(opened.filter(({ status }) => status === 'fulfilled')).toHaveLength(DEVICES_MAX)
  })
})
