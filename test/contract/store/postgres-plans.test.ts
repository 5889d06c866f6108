/** The calls of a busy server find their rows by an index, whatever the planner makes of its parameters. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildClientId, type DeviceId, type LogId, type UserId } from '../../../protocol/ids.ts'
import type { SharedStore } from '../../../services/store/shared-store.ts'
import { PostgresServer } from '../../harness/postgres.ts'
import { until } from '../../harness/wait.ts'
import { listOf, markRead, pageOf, send } from './people.ts'
import { openStore } from './postgres-engine.ts'

const ACCOUNTS = 20_000
/** From the sixth run on, PostgreSQL may keep one plan for all values of the parameters. */
const RUNS = 8

const uidOf = (n: number) => `u${String(n).padStart(6, '0')}` as UserId
const logOf = (n: number) => `d:${uidOf(n)}:${uidOf(n + 1)}` as LogId

/** Everybody is a friend of the next one, and each two have a few messages. */
const FILL = `
  insert into account (uid, created_at) select 'u' || lpad(i::text, 6, '0'), 0 from generate_series(1, ${ACCOUNTS}) i;
  insert into contact (account, peer, state, blocked, changed_at)
    select i, i + 1, 'friend', 0, 0 from generate_series(1, ${ACCOUNTS - 1}) i
    union all select i + 1, i, 'friend', 0, 0 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into log (name, epoch, head, messages, first, last_at)
    select 'd:u' || lpad(i::text, 6, '0') || ':u' || lpad((i + 1)::text, 6, '0'), 1, 5, 5, 1, i
    from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into membership (account, log, from_seq, to_seq, joined_at, xid)
    select i + side, i, 1, null, 0, null from generate_series(1, ${ACCOUNTS - 1}) i, generate_series(0, 1) side;
  insert into reader (account, log, read_seq, read_messages, own, read_own)
    select i + side, i, 0, 0, 0, 0 from generate_series(1, ${ACCOUNTS - 1}) i, generate_series(0, 1) side;
  insert into entry (log, seq, message_no, at, kind, account, id, id_hash, type, body)
    select i, seq, seq, i, 'message', i, seq::text, (random() * 1e15)::bigint, 'text', '{"text":"hello"}'
    from generate_series(1, 5) seq, generate_series(1, ${ACCOUNTS - 1}) i;
  insert into hidden (account, log, seq) select i, i, 1 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into mention (account, log, seq) select i, i, 1 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into origin (account, log, seq) select i, i, 1 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into reaction (log, seq, emoji, account, reacted_at)
    select i, 1, ':y:', i, 0 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into pin (log, seq, pinned_by, pinned_at) select i, 1, i, 0 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into expiry (log, seq, due_at) select i, 1, 9e15::bigint from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into scheduled_send (account, id, target, type, body, due_at, made_at)
    select i, 'later', 'd', 'text', '{}', 9e15::bigint, 0 from generate_series(1, ${ACCOUNTS}) i;
  insert into event (seq, at, type, body) select i, 0, 'message.stored', '{}' from generate_series(1, ${ACCOUNTS}) i;
  insert into broadcast (id, account, type, body, filter, state, reached, last, sent, made_at)
    select i::text, 1, 'text', '{}', '{}', 'done', 0, 0, 0, i from generate_series(1, ${ACCOUNTS}) i;
  insert into replaced_body (log, seq, hash) select i, 1, '' from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into media_use (media, log, seq) select i::text, i, 1 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into message_search (log, seq, terms) select i, 1, 'word' from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into conversation_state (account, log, changed_at) select i, i, 0 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into group_ban (log, account, banned_by, banned_at) select i, i, 1, 0 from generate_series(1, ${ACCOUNTS - 1}) i;
  insert into device (account, id, kind, name, created_at, seen_at)
    select i, 'phone', '', '', 0, 0 from generate_series(1, ${ACCOUNTS}) i;
  insert into session (client_id, account, device, generation, inbox_started, reply, live, expires_at, node)
    select 'u' || lpad(i::text, 6, '0') || '/phone', i, 'phone', 1, 1, 0, 0, 9e15::bigint, 'other'
    from generate_series(1, ${ACCOUNTS}) i;
  insert into cursor (session, log, seq, epoch)
    select i + side, i, 2, 1 from generate_series(1, ${ACCOUNTS - 1}) i, generate_series(0, 1) side;
  insert into login (sid, account, device, refresh_hash, created_at, expires_at, ended_at)
    select i::text, i, 'phone', '', 0, 9e15::bigint, nullif(i % 2, 0) from generate_series(1, ${ACCOUNTS}) i;
  with groups as (
    insert into log (name, epoch, head, messages, first, last_at)
    select 'g:' || i, 1, 0, 0, 1, 0 from generate_series(1, ${ACCOUNTS}) i returning n
  )
  insert into chat_group (log, name, owner, members, created_at) select n, 'group', 1, 0, 0 from groups;
  insert into plain_session (client_id, generation)
    select 'u' || lpad(i::text, 6, '0') || '/plain', i from generate_series(1, ${ACCOUNTS}) i;
  insert into plain_will (client_id, will, holder, delay_ms)
    select 'u' || lpad(i::text, 6, '0') || '/plain', '', 'other', 0 from generate_series(1, ${ACCOUNTS}) i;`

let server: PostgresServer
let store: SharedStore
let url: string

beforeAll(async () => {
  server = await PostgresServer.start({
    shared_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_nested_statements': 'on',
  })
  const database = await server.createDatabase()
  url = database.url
  store = await openStore(url)
  await server.query(FILL, database.name)
  await server.query('vacuum analyze', database.name)
})
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** CONNECT of a known device, its login looked at, its inbox, an acknowledgement, and the end of the connection. */
async function reconnect(n: number): Promise<void> {
  await store.checkLogin({ uid: uidOf(n), device: phone, sid: null, issuedAt: Date.now() })
  const session = await store.openSession({
    ...{ uid: uidOf(n), device: phone, clientId: buildClientId(uidOf(n), phone) },
    ...{ sid: null, issuedAt: Date.now(), cleanStart: false, persistent: true, devicesMax: 10 },
  })
  await store.startInbox({ uid: uidOf(n), ...session, backlogMax: 100 })
  const { session: number, generation } = session
  const cursor = { generation, log: logOf(n), seq: 3, epoch: 'k1' }
  await store.saveCursors([{ ...cursor, session: number! }])
  await store.closeSession({
    ...{ clientId: buildClientId(uidOf(n), phone), session: number!, generation },
    expiresAt: Date.now() + 3_600_000,
  })
}

let marks = 0

/** Few rows: each of them is work of now, a receiver of events or a position. The others of a look are large. */
const SMALL_TABLES = ['dead_letter', 'erasure', 'event_order', 'imported', 'progress', 'webhook']

/** Tables that were read from end to end while `work` ran. */
async function scannedBy(work: (n: number) => Promise<unknown>): Promise<string[]> {
  server.log.lines.length = 0
  const scanned = new Set<string>()
  for (let n = 1; n <= RUNS; n++) {
    await work(n * 100)
    const mark = `the end of run ${++marks}`
    await server.query(`select '${mark}'`)
    await until(() => server.log.lines.some((line) => line.includes(mark)), 'the log of the plans')
    for (const line of server.log.lines.splice(0)) {
      const table = /Seq Scan on (\w+)/.exec(line)?.[1]
      if (table !== undefined) scanned.add(table)
    }
  }
  // It has a row for each migration.
  scanned.delete('migration')
  return [...scanned]
}

const phone = 'phone' as DeviceId
const callerOf = (n: number) => ({ uid: uidOf(n), device: phone })

const CALLS: Record<string, (n: number) => Promise<unknown>> = {
  'a send': (n) => send(store, callerOf(n), logOf(n), 'hello', `id ${n}`),
  'a send to a new log': (n) =>
    send(store, callerOf(n), `d:${uidOf(n)}:${uidOf(n)}` as LogId, 'note', `note ${n}`),
  'many sends': (n) =>
    Promise.all(
      Array.from({ length: 90 }, (_, i) => send(store, callerOf(n + i), logOf(n + i), 'x', `m ${n}`)),
    ),
  'opening a session and its inbox': (n) => reconnect(n),
  'many devices that come back at once': (n) =>
    Promise.all(Array.from({ length: 90 }, (_, i) => reconnect(n + i))),
  'a drain': (n) =>
    store.drain({
      uid: uidOf(n),
      device: phone,
      requests: [
        { log: logOf(n), after: 0 },
        { log: logOf(n - 1), after: 2 },
      ],
      entriesMax: 100,
      bytesMax: 100_000,
    }),
  'the places of logs': (n) =>
    store.placeLogs({ uid: uidOf(n), session: n, startedAt: 0, logs: [logOf(n)], backlogMax: 100 }),
  'the places of logs by time': (n) =>
    store.placeLogs({ uid: uidOf(n), session: null, startedAt: 0, logs: [logOf(n)], backlogMax: 100 }),
  'what has changed': async (n) => {
    const since = await store.position()
    await send(store, callerOf(n), logOf(n), 'changed')
    const { changes } = await store.changesSince({ since, rowsMax: 1000 })
    expect(changes.logs).toHaveLength(1)
  },
  'ending sessions': () => store.expireSessions(),
  'ending suspensions': () => store.perform({ task: 'endSuspensions', input: {} }),
  'a page of history': (n) => pageOf(store, callerOf(n), logOf(n), { limit: 10 }),
  'a page of one kind': (n) => pageOf(store, callerOf(n), logOf(n), { kind: 'links', around: 3 }),
  'what becomes of a message': async (n) => {
    const log = logOf(n)
    const { seq } = await send(store, callerOf(n), log, 'to be changed')
    const params = { log, seq }
    const body = { text: 'changed', mentions: [uidOf(n + 1)] }
    await store.run({ name: 'messages.edit', caller: callerOf(n), params: { ...params, body } })
    await store.run({ name: 'messages.react', caller: callerOf(n), params: { ...params, emoji: ':x:' } })
    await store.run({ name: 'messages.pin', caller: callerOf(n), params })
    await store.run({ name: 'messages.recall', caller: callerOf(n), params })
    await store.run({ name: 'messages.delete', caller: callerOf(n), params: { log, seqs: [seq] } })
  },
  'a list of conversations': (n) => listOf(store, callerOf(n)),
  'a read pointer': (n) => markRead(store, callerOf(n + 1), logOf(n), 3),
}

describe('no table is read from end to end by', () => {
  for (const [name, call] of Object.entries(CALLS)) {
    test(name, async () => {
      expect(await scannedBy(call)).toEqual([])
    })
  }

  test('a look for work in the background, but small ones', async () => {
    const database = new URL(url).pathname.slice(1)
    await server.query(
      `insert into progress (name, position) select 'search', (select max(xid) + 1 from entry) || '.0.0'`,
      database,
    )
    const scanned = await scannedBy(async (n) => {
      await send(store, callerOf(n), logOf(n), 'to be indexed')
      expect(await store.perform({ task: 'findWork', input: {} })).toContain('indexing')
    })
    expect(scanned.filter((table) => !SMALL_TABLES.includes(table))).toEqual([])
  })
})
