import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller } from '../../../services/store/contract.ts'
import type { StoreEngine } from './engine.ts'
import {
  badgeOf,
  conversationOf,
  createFriends,
  createGroup,
  directLog,
  gistOf,
  groupsOf,
  markRead,
  noticesOf,
  readAll,
  send,
  seqsOf,
  textTo,
} from './people.ts'
import { RemoteStore } from './remote-store.ts'

/** Acknowledged sends before the process is killed. */
const ACKNOWLEDGED_MIN = 2000
const SENDERS_WINDOW = 64

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

/** Opens the store for one step and closes it again. */
async function within<Result>(
  engine: StoreEngine,
  step: (store: Awaited<ReturnType<StoreEngine['open']>>) => Promise<Result>,
): Promise<Result> {
  await using store = await engine.open()
  return await step(store)
}

export function durabilityContract(engine: () => StoreEngine): void {
  describe('durability', () => {
    test('friends, groups, messages, reads and results of calls are there when the store is opened again', async () => {
      const before = await within(engine(), async (store) => {
        const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
        const group = await createGroup(store, alice, bob)
        await send(store, alice, group, 'hello')
        await markRead(store, bob, group, 1)
        const params = { id: group, members: [carol.uid], requestId: 'r' }
        const added = { name: 'groups.add', caller: bob, params } as const
        await store.run(added)
        return { alice, bob, carol, group, added }
      })
      await within(engine(), async (store) => {
        const { alice, bob, group, added } = before
        expect(gistOf(await readAll(store, bob, group))).toEqual(['created', 'hello', 'added'])
        expect(await conversationOf(store, bob, group)).toMatchObject({ head: 3, readSeq: 1, unread: 1 })
        expect(
          (await store.run({ name: 'contacts.list', caller: alice, params: {} })).items.map(
            (item) => item.state,
          ),
        ).toEqual(['friend', 'friend'])
        expect(await store.run(added)).toEqual({ added: added.params.members })
        expect(gistOf(await readAll(store, bob, group))).toEqual(['created', 'hello', 'added'])
      })
    })

    test('an id sent again after the store was opened again has its first seq and time', async () => {
      const { people, log, first } = await (async () => {
        await using store = await engine().open()
        const people = await createFriends(store, 'alice', 'bob')
        const log = directLog(...people)
        return { people, log, first: await send(store, people[0], log, 'once', 'same') }
      })()
      await using store = await engine().open()
      expect(await send(store, people[0], log, 'once', 'same')).toEqual(first)
      expect(seqsOf(await readAll(store, people[1], log))).toEqual([1])
    })

    test('every acknowledged send survives kill -9, once, in order and without gaps', async () => {
      const { friends, group } = await within(engine(), async (store) => {
        const friends = await createFriends(store, 'alice', 'bob', 'carol')
        return { friends, group: await createGroup(store, ...friends) }
      })
      const [alice, bob, carol] = friends
      const logs = [group, directLog(alice, bob), directLog(bob, carol), directLog(alice, carol)]
      const acknowledged = await sendUntilKilled(engine(), friends, logs)
      await within(engine(), async (store) => {
        const stored = new Map<string, number>()
        for (const log of logs) {
          const reader = friends.find((person) => log.includes(person.uid)) ?? alice
          const entries = await readAll(store, reader, log)
          expect(seqsOf(entries)).toEqual(upTo(entries.length))
          const ids = entries.flatMap((entry) =>
            entry.id === undefined ? [] : [`${entry.from} ${entry.id}`],
          )
          expect(new Set(ids).size).toBe(ids.length)
          for (const entry of entries) stored.set(`${entry.from} ${entry.id}`, entry.seq)
        }
        for (const [key, { seq }] of acknowledged) expect(stored.get(key)).toBe(seq)
        const again = [...acknowledged.values()].slice(-200)
        const seqs = await Promise.all(
          again.map(({ from, log, text, id }) => send(store, from, log, text, id).then((sent) => sent.seq)),
        )
        expect(seqs).toEqual(again.map((sent) => sent.seq))
      })
    })

    test('what was acknowledged behind a refused read survives kill -9', async () => {
      // A refused call once took back what it had filed, while the journal of it was emptied by the next.
      const [alice, bob] = await within(engine(), (store) => createFriends(store, 'alice', 'bob'))
      const log = directLog(alice, bob)
      await using remote = await RemoteStore.spawn(engine())
      for (const n of upTo(3)) {
        await remote.send(textTo(alice, log, `before ${n}`))
        await remote
          .call('run', { name: 'messages.page', caller: alice, params: { log: 'g:unknown' } })
          .catch(() => null)
        await Promise.allSettled([
          remote.send(textTo(alice, log, `beside ${n}`)),
          remote.call('run', {
            name: 'conversations.read',
            caller: bob,
            params: { log: 'g:unknown', seq: 1 },
          }),
          remote.send(textTo(alice, log, `after ${n}`)),
        ])
      }
      await remote.call('run', { name: 'messages.page', caller: bob, params: { log } })
      await remote.send(textTo(alice, log, 'last'))
      await remote.kill()
      const texts = upTo(3).flatMap((n) => [`before ${n}`, `beside ${n}`, `after ${n}`])
      await within(engine(), async (store) => {
        expect(gistOf(await readAll(store, bob, log))).toEqual([...texts, 'last'])
      })
    })

    for (const count of [7, 9000]) {
      test(`heads, own counts and unread are exact after kill -9 with ${count} messages just sent`, async () => {
        const [alice, bob] = await within(engine(), (store) => createFriends(store, 'alice', 'bob'))
        const log = directLog(alice, bob)
        await sendAndKill(engine(), count, (n) => textTo(n % 3 === 0 ? bob : alice, log, `${n}`))
        const ofBob = Math.floor(count / 3)
        await within(engine(), async (store) => {
          expect(await conversationOf(store, bob, log)).toMatchObject({ head: count, unread: count - ofBob })
          expect(await conversationOf(store, alice, log)).toMatchObject({ head: count, unread: ofBob })
          expect((await send(store, alice, log, 'next')).seq).toBe(count + 1)
          const seq = Math.floor(count / 2)
          const unread = upTo(count).filter((n) => n > seq && n % 3 !== 0).length + 1
          expect(await markRead(store, bob, log, seq)).toMatchObject({ unread })
          expect(await badgeOf(store, bob)).toBe(unread)
        })
        // Counting once more after a second start shows what the first one wrote.
        await within(engine(), async (store) => {
          expect(await badgeOf(store, alice)).toBe(ofBob)
          expect(await markRead(store, bob, log, count + 1)).toMatchObject({ unread: 0 })
        })
      })
    }

    test('messages of people who lost their right to write count as their own after kill -9', async () => {
      const { people, group } = await within(engine(), async (store) => {
        const people = await createFriends(store, 'alice', 'bob', 'carol')
        return { people, group: await createGroup(store, ...people) }
      })
      const [alice, bob, carol] = people
      const log = directLog(alice, bob)
      await using remote = await RemoteStore.spawn(engine())
      for (const n of upTo(5)) await remote.send(textTo(alice, log, `${n}`))
      for (const n of upTo(4)) await remote.send(textTo(carol, group, `${n}`))
      await remote.call('run', { name: 'contacts.block', caller: bob, params: { uid: alice.uid } })
      const removed = { id: group, members: [carol.uid] }
      await remote.call('run', { name: 'groups.remove', caller: alice, params: removed })
      await remote.kill()
      await within(engine(), async (store) => {
        expect(await conversationOf(store, alice, log)).toMatchObject({ head: 5, unread: 0 })
        expect(await conversationOf(store, bob, log)).toMatchObject({ head: 5, unread: 5 })
        expect(await conversationOf(store, carol, group)).toMatchObject({ head: 6, unread: 0 })
        expect(await conversationOf(store, alice, group)).toMatchObject({ head: 6, unread: 4 })
      })
    })

    test('a membership and a notice are whole or absent after kill -9', async () => {
      const [alice, bob] = await within(engine(), (store) => createFriends(store, 'alice', 'bob'))
      await using remote = await RemoteStore.spawn(engine())
      const params = { name: 'g', members: [bob.uid] }
      const made = await remote.call('run', { name: 'groups.create', caller: alice, params })
      const log = (made as { id: string }).id as LogId
      await remote.call('run', { name: 'contacts.remove', caller: alice, params: { uid: bob.uid } })
      await remote.kill()
      await within(engine(), async (store) => {
        expect(gistOf(await readAll(store, bob, log))).toEqual(['created'])
        expect(await groupsOf(store, bob)).toMatchObject([{ id: log, members: 2 }])
        expect((await noticesOf(store, bob)).at(-1)).toEqual({ type: 'removed', body: { uid: alice.uid } })
        expect((await store.run({ name: 'contacts.list', caller: bob, params: {} })).items).toEqual([])
      })
    })
  })
}

type Acknowledged = { from: Caller; log: LogId; text: string; id: string; seq: number }

/** Several senders, each with a window of unanswered sends, until enough are acknowledged; then SIGKILL in mid-flight. */
async function sendUntilKilled(
  engine: StoreEngine,
  friends: readonly Caller[],
  logs: readonly LogId[],
): Promise<Map<string, Acknowledged>> {
  await using remote = await RemoteStore.spawn(engine)
  const acknowledged = new Map<string, Acknowledged>()
  let next = 0
  const sendMore = async (): Promise<void> => {
    for (;;) {
      const n = next++
      const log = logs[n % logs.length]!
      const writers = friends.filter((person) => log.startsWith('g:') || log.includes(person.uid))
      const from = writers[n % writers.length]!
      const id = `id ${n}`
      const { seq } = await remote.send(textTo(from, log, `text ${n}`, id))
      acknowledged.set(`${from.uid} ${id}`, { from, log, text: `text ${n}`, id, seq })
      if (acknowledged.size === ACKNOWLEDGED_MIN) void remote.kill()
    }
  }
  await Promise.allSettled(Array.from({ length: SENDERS_WINDOW }, sendMore))
  return acknowledged
}

async function sendAndKill(
  engine: StoreEngine,
  count: number,
  build: (n: number) => ReturnType<typeof textTo>,
): Promise<void> {
  await using remote = await RemoteStore.spawn(engine)
  await Promise.all(upTo(count).map((n) => remote.send(build(n))))
  await remote.kill()
}
