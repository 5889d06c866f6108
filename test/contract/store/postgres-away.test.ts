/** PostgreSQL stopped, killed and restarted under the hands of a store. */
import { expect, test } from 'vitest'
import type { WochatError } from '../../../protocol/errors.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { PostgresServer } from '../../harness/postgres.ts'
import { until } from '../../harness/wait.ts'
import { recordFeed } from './feed-recorder.ts'
import {
  createFriends,
  createGroup,
  createPeople,
  directLog,
  groupsOf,
  pageOf,
  readAll,
  refusalOf,
  send,
  seqsOf,
} from './people.ts'
import { openStore } from './postgres-engine.ts'

const RETRY_MS = 20_000
const SENDERS = 32
const KILLS = 3
const SENDS_BETWEEN = 300

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

type Acknowledged = Map<string, { log: LogId; seq: number }>

/** Sends until told to stop, as a client does: what is refused for now is sent again under its id. */
async function sendOnAndOn(
  nodes: readonly Store[],
  writers: readonly [Caller, LogId][],
  acknowledged: Acknowledged,
  isOver: () => boolean,
): Promise<void> {
  let next = 0
  const one = async () => {
    while (!isOver()) {
      const n = next++
      const [from, log] = writers[n % writers.length]!
      const id = `id ${n}`
      for (let tries = 0; ; tries++) {
        try {
          const { seq } = await send(nodes[(n + tries) % nodes.length]!, from, log, id, id)
          acknowledged.set(`${from.uid} ${id}`, { log, seq })
          break
        } catch (error) {
          if (!(error as WochatError).retryable) throw error
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    }
  }
  await Promise.all(upTo(SENDERS).map(one))
}

test('no acknowledged send is lost and none is twice when PostgreSQL is killed and restarted under load', {
  timeout: 180_000,
}, async () => {
  await using server = await PostgresServer.start()
  const database = await server.createDatabase()
  await using first = await openStore(database.url, { retryMs: RETRY_MS })
  await using second = await openStore(database.url, { retryMs: RETRY_MS })
  const [alice, bob, carol] = await createFriends(first, 'alice', 'bob', 'carol')
  const group = await createGroup(first, alice, bob, carol)
  const writers: [Caller, LogId][] = [alice, bob, carol].flatMap((from) => [
    [from, group],
    [from, directLog(from, from === bob ? alice : bob)],
  ])
  const feeds = [recordFeed(first), recordFeed(second)]
  const acknowledged: Acknowledged = new Map()
  let isOver = false
  const sending = sendOnAndOn([first, second], writers, acknowledged, () => isOver)
  for (const kill of upTo(KILLS)) {
    const enough = acknowledged.size + SENDS_BETWEEN
    await until(() => acknowledged.size >= enough, `${enough} acknowledged sends`, RETRY_MS * 2)
    if (kill === KILLS) await server.stop()
    else await server.kill()
    await server.launch()
  }
  const enough = acknowledged.size + SENDS_BETWEEN
  await until(() => acknowledged.size >= enough, 'sends after the last restart', RETRY_MS * 2)
  isOver = true
  await sending
  const stored = new Map<string, { log: LogId; seq: number }>()
  for (const [reader, log] of [
    [alice, group],
    [alice, directLog(alice, bob)],
    [carol, directLog(bob, carol)],
  ] as const) {
    const entries = await readAll(first, reader, log)
    expect(seqsOf(entries)).toEqual(upTo(entries.length))
    const messages = entries.filter((entry) => entry.kind === 'message')
    for (const entry of messages) stored.set(`${entry.from} ${entry.id}`, { log, seq: entry.seq })
    expect(messages.filter((entry) => !stored.has(`${entry.from} ${entry.id}`))).toEqual([])
    const told = new Set(feeds.flatMap((feed) => seqsOf(feed.entries.filter((entry) => entry.log === log))))
    expect(messages.filter((entry) => !told.has(entry.seq))).toEqual([])
  }
  expect(stored).toEqual(acknowledged)
})

test('calls whose connections are cut take effect once', { timeout: 120_000 }, async () => {
  await using server = await PostgresServer.start()
  const database = await server.createDatabase()
  await using store = await openStore(database.url, { retryMs: RETRY_MS })
  const people = await createPeople(store, 'a', 'b', 'c', 'd')
  let isOver = false
  const cutting = (async () => {
    while (!isOver) {
      await server.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'wochat-test' and random() < 0.5",
      )
    }
  })()
  const made = await Promise.allSettled(
    people.flatMap((caller) =>
      upTo(40).map((n) => store.run({ name: 'groups.create', caller, params: { name: `${n}` } })),
    ),
  ).finally(() => {
    isOver = true
  })
  await cutting
  expect(made.flatMap((group) => (group.status === 'rejected' ? [String(group.reason)] : []))).toEqual([])
  for (const person of people) {
    const names = (await groupsOf(store, person)).map(({ name }) => name)
    expect(names).toEqual(upTo(40).map(String))
  }
})

test('while PostgreSQL is away sends are refused as busy at once, calls after their time, and health says why', {
  timeout: 120_000,
}, async () => {
  await using server = await PostgresServer.start()
  const database = await server.createDatabase()
  await using store = await openStore(database.url, { retryMs: 300 })
  const [alice, bob] = await createFriends(store, 'alice', 'bob')
  const log = directLog(alice, bob)
  await send(store, alice, log, 'before')
  await server.kill()
  expect(await refusalOf(pageOf(store, alice, log))).toBe('busy')
  expect(await refusalOf(send(store, alice, log, 'away', 'id'))).toBe('busy')
  expect(await store.health()).toMatchObject({
    writable: false,
    reason: expect.stringContaining('PostgreSQL'),
  })
  await server.launch()
  await until(async () => (await store.health()).writable, 'the store to work again')
  expect(await send(store, alice, log, 'after')).toMatchObject({ seq: 2 })
  expect(seqsOf(await readAll(store, bob, log))).toEqual([1, 2])
})

test('a read that meets a restart waits for it and is answered', { timeout: 120_000 }, async () => {
  await using server = await PostgresServer.start()
  const database = await server.createDatabase()
  await using store = await openStore(database.url, { retryMs: RETRY_MS })
  const [alice, bob] = await createFriends(store, 'alice', 'bob')
  const log = directLog(alice, bob)
  await send(store, alice, log, 'kept')
  await server.kill()
  const reading = readAll(store, bob, log)
  await server.launch()
  expect(seqsOf(await reading)).toEqual([1])
})

test('a server that no longer answers is given up, and what was sent to it is stored once', {
  timeout: 120_000,
}, async () => {
  await using server = await PostgresServer.start()
  const database = await server.createDatabase()
  const warnings: string[] = []
  const log = { info() {}, warn: (_: unknown, text: string) => warnings.push(text), error() {} }
  await using store = await openStore(database.url, { retryMs: 60_000, log: log as never })
  const [alice, bob] = await createFriends(store, 'alice', 'bob')
  const direct = directLog(alice, bob)
  await send(store, alice, direct, 'before')
  server.pause()
  const sends = upTo(20).map((n) => send(store, alice, direct, `${n}`))
  await until(() => warnings.some((text) => text.includes('away')), 'the silence to be noticed', 30_000)
  expect(await refusalOf(send(store, bob, direct, 'refused'))).toBe('busy')
  server.resume()
  expect((await Promise.all(sends)).map(({ seq }) => seq)).toEqual(upTo(20).map((n) => n + 1))
  expect(seqsOf(await readAll(store, bob, direct))).toEqual(upTo(21))
})
