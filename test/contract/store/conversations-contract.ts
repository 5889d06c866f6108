import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import {
  addMembers,
  badgeOf,
  conversationOf,
  createFriends,
  createGroup,
  createPeople,
  createUid,
  directLog,
  gistOf,
  leaveGroup,
  listOf,
  markRead,
  pageOf,
  readAll,
  refusalOf,
  send,
} from './people.ts'

/** Friends with one conversation each, the last one active last. */
async function createConversations(store: Store, count: number): Promise<{ me: Caller; logs: LogId[] }> {
  const [me, ...others] = (await createPeople(store, ...Array.from({ length: count + 1 }, () => 'p'))) as [
    Caller,
    ...Caller[],
  ]
  const logs: LogId[] = []
  for (const other of others) {
    const log = directLog(me, other)
    await send(store, other, log, 'hello')
    await tick()
    logs.push(log)
  }
  return { me, logs }
}

/** Waits until the clock has moved on, because conversations are sorted by ms. */
async function tick(): Promise<void> {
  const from = Date.now()
  while (Date.now() === from) await new Promise((resolve) => setImmediate(resolve))
}

export function conversationsContract(engine: () => StoreEngine): void {
  describe('conversations', () => {
    const shared = shareStore(engine)

    test('are listed with head, unread, read pointer, last entry, name and peer, the last active first', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      await tick()
      const log = directLog(alice, bob)
      await send(store, alice, log, 'one')
      await send(store, alice, log, 'two')
      const { items, badge, cursor } = await listOf(store, bob)
      expect(items).toMatchObject([
        { log, epoch: 'k1', head: 2, unread: 2, readSeq: 0, peer: alice.uid },
        { log: group, epoch: 'k1', head: 1, unread: 0, readSeq: 0, name: 'a group' },
      ])
      expect(items[0]?.last).toEqual((await readAll(store, bob, log)).at(-1))
      expect(items[1]?.last).toMatchObject({ kind: 'group', type: 'created' })
      expect({ badge, cursor }).toEqual({ badge: 2, cursor: undefined })
    })

    test('as text, an answer is the same, and so is a refusal', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      await send(store, alice, await createGroup(store, alice, bob), 'a "quote", \u2028 and 你好')
      const call = { name: 'conversations.list', caller: bob, params: {} } as const
      const [text, result] = await Promise.all([store.runAsText(call), store.run(call)])
      expect(result.items).toHaveLength(1)
      expect(JSON.parse(text)).toEqual(result)
      const wrong = { ...call, params: { cursor: 'x' } }
      expect(await refusalOf(store.runAsText(wrong))).toBe('bad_request')
    })

    test('say what kind each is: direct, group, room, or of a system account', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const news = { uid: createUid('news'), device: null }
      await operate(store, 'addSystemAccount', { uid: news.uid, name: 'News' })
      const [direct, system] = [directLog(alice, bob), directLog(alice, news)]
      await send(store, bob, direct, 'hello')
      await send(store, news, system, 'welcome')
      const group = await createGroup(store, alice, bob)
      const { id: room } = await store.run({ name: 'rooms.create', caller: alice, params: { name: 'open' } })
      const { items } = await listOf(store, alice)
      const kinds = new Map(items.map(({ log, kind, name, peer }) => [log, { kind, name, peer }]))
      expect(kinds).toEqual(
        new Map([
          [direct, { kind: 'direct', name: undefined, peer: bob.uid }],
          [system, { kind: 'system', name: undefined, peer: news.uid }],
          [group, { kind: 'group', name: 'a group', peer: undefined }],
          [room, { kind: 'room', name: 'open', peer: undefined }],
        ]),
      )
      await markRead(store, alice, system, 1)
      const params = { since: 0 }
      const changes = await store.run({ name: 'conversations.changes', caller: alice, params })
      expect(changes.items).toMatchObject([{ log: system, kind: 'system', peer: news.uid }])
    })

    test('notices are not listed and not in the badge, but can be paged by their owner alone', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      expect(await listOf(store, bob)).toMatchObject({ items: [], badge: 0 })
      const log = `n:${bob.uid}` as LogId
      expect(gistOf(await readAll(store, bob, log))).toEqual(['asked', 'friend'])
      expect(await refusalOf(pageOf(store, alice, log))).toBe('unknown_log')
      expect(await markRead(store, bob, log, 2)).toEqual({ readSeq: 2, unread: 0, badge: 0 })
    })

    test('somebody without an account or conversations has an empty list', async () => {
      const store = shared()
      const caller = { uid: 'nobody-at-all' as Caller['uid'], device: null }
      expect(await listOf(store, caller)).toEqual({ items: [], badge: 0, version: 0 })
    })

    test('a cursor of somewhere else is refused', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      for (const cursor of ['', 'x', '1.2', '1.2.nolog', '2.1.1.d:a:b', '0.1.1.nolog', "' or 1=1 --"]) {
        expect(await refusalOf(listOf(store, alice, { cursor }))).toBe('bad_request')
      }
    })

    test('the read pointer moves forward only and is cut at the head', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (const text of ['1', '2', '3']) await send(store, alice, log, text)
      const read = (seq: number) => markRead(store, bob, log, seq)
      expect(await read(2)).toEqual({ readSeq: 2, unread: 1, badge: 1 })
      expect(await read(1)).toEqual({ readSeq: 2, unread: 1, badge: 1 })
      expect(await read(Number.MAX_SAFE_INTEGER)).toEqual({ readSeq: 3, unread: 0, badge: 0 })
      await send(store, alice, log, '4')
      expect(await conversationOf(store, bob, log)).toMatchObject({ readSeq: 3, unread: 1 })
    })

    test('own messages are never unread, wherever the pointer stands', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const authors = [alice, bob, bob, alice, bob, alice, alice]
      for (const [i, from] of authors.entries()) await send(store, from, log, `${i}`)
      for (let seq = 0; seq <= authors.length; seq++) {
        const unread = authors.slice(seq).filter((author) => author === alice).length
        expect((await markRead(store, bob, log, seq)).unread).toBe(unread)
      }
    })

    test('unread and head stay at what was visible for one who left, and start anew for one who comes back', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      await send(store, alice, group, 'one')
      await send(store, bob, group, 'own')
      await send(store, alice, group, 'two')
      await leaveGroup(store, bob, group)
      await send(store, alice, group, 'unseen')
      expect(await conversationOf(store, bob, group)).toMatchObject({
        head: 5,
        unread: 2,
        last: { type: 'left' },
      })
      expect(await markRead(store, bob, group, 2)).toMatchObject({ unread: 1 })
      expect(await markRead(store, bob, group, 6)).toMatchObject({
        readSeq: 5,
        unread: 0,
      })
      await addMembers(store, alice, group, bob)
      expect(await conversationOf(store, bob, group)).toMatchObject({ head: 7, unread: 0, readSeq: 6 })
      await send(store, bob, group, 'own again')
      await send(store, alice, group, 'three')
      expect(await conversationOf(store, bob, group)).toMatchObject({ head: 9, unread: 1 })
      expect(await badgeOf(store, bob)).toBe(1)
    })
  })

  describe('unread of one who comes back', () => {
    const shared = shareStore(engine)

    test('does not count against messages of their own that were written right before they left', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      await Promise.all([send(store, bob, group, 'own'), send(store, bob, group, 'own too')])
      await leaveGroup(store, bob, group)
      await addMembers(store, alice, group, bob)
      await send(store, alice, group, 'welcome back')
      expect(await conversationOf(store, bob, group)).toMatchObject({ unread: 1 })
    })
  })

  describe('the list of conversations', () => {
    const shared = shareStore(engine, { contactsRequired: false })

    test('pages hold every conversation once, though messages come in between', async () => {
      const store = shared()
      const { me, logs } = await createConversations(store, 10)
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await listOf(store, me, { limit: 3, ...(cursor !== undefined && { cursor }) })
        seen.push(...page.items.map((item) => item.log))
        expect(page.badge).toBe(10)
        cursor = page.cursor
        await tick()
        // One that was listed, one that was not, and a new one.
        for (const log of [logs[9]!, logs[0]!]) await send(store, me, log, 'more')
        const [other] = await createPeople(store, 'new')
        await send(store, me, directLog(me, other), 'a new one')
      } while (cursor !== undefined)
      expect(seen).toEqual(logs.toReversed())
      expect((await listOf(store, me, { limit: 3 })).items[0]?.unread).toBe(0)
    })
  })
}
