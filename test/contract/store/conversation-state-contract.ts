import { describe, expect, test } from 'vitest'
import type { Params, Result } from '../../../protocol/catalogue/catalogue.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  addMembers,
  badgeOf,
  conversationOf,
  createFriends,
  createGroup,
  directLog,
  leaveGroup,
  listOf,
  markRead,
  readAll,
  refusalOf,
  send,
} from './people.ts'

type Changes = Omit<Params<'conversations.update'>, 'log'>

const update = (store: Store, caller: Caller, log: string, changes: Changes) =>
  store.run({ name: 'conversations.update', caller, params: { log, ...changes } })

const clear = (store: Store, caller: Caller, log: string, seq?: number) =>
  store.run({
    name: 'conversations.clear',
    caller,
    params: { log, ...(seq !== undefined && { seq }) },
  })

const changesOf = (store: Store, caller: Caller, since: number, limit?: number) =>
  store.run({
    name: 'conversations.changes',
    caller,
    params: { since, ...(limit !== undefined && { limit }) },
  })

const FOREVER = Number.MAX_SAFE_INTEGER

export function conversationStateContract(engine: () => StoreEngine): void {
  describe('what a person keeps about a conversation', () => {
    const shared = shareStore(engine)

    test('is theirs alone, and what is not named in a change stays', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'one')
      const before = await conversationOf(store, alice, log)
      await update(store, bob, log, { pinned: true, draft: 'dear Alice' })
      await update(store, bob, log, { mutedUntil: FOREVER, archived: true })
      await update(store, bob, log, { markedUnread: true })
      const kept = {
        ...{ pinned: true, muted: true, mutedUntil: FOREVER, archived: true },
        ...{ draft: 'dear Alice', markedUnread: true },
      }
      expect(await conversationOf(store, bob, log)).toMatchObject(kept)
      expect(await conversationOf(store, alice, log)).toEqual(before)
      const none = { pinned: false, mutedUntil: null, archived: false, draft: '', markedUnread: false }
      await update(store, bob, log, none)
      const after = await conversationOf(store, bob, log)
      expect(after).toMatchObject({ pinned: false, muted: false, archived: false, markedUnread: false })
      expect(after).not.toHaveProperty('draft')
      expect(after).not.toHaveProperty('mutedUntil')
    })

    test('cannot be kept about a log that they never saw, notices, or with nothing or too much to keep', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'one')
      expect(await refusalOf(update(store, eve, log, { pinned: true }))).toBe('unknown_log')
      expect(await refusalOf(clear(store, eve, log))).toBe('unknown_log')
      expect(await refusalOf(update(store, bob, `n:${bob.uid}`, { pinned: true }))).toBe('bad_request')
      expect(await refusalOf(update(store, bob, log, {}))).toBe('bad_request')
      expect(await refusalOf(update(store, bob, log, { draft: '字'.repeat(2000) }))).toBe('bad_request')
      expect((await changesOf(store, bob, 0)).items).toEqual([])
    })

    test('pinned ones come first, each part in the order of activity, over pages', async () => {
      const store = shared()
      const [me, ...others] = await createFriends(store, 'me', 'a', 'b', 'c', 'd')
      const logs = others.map((other) => directLog(me, other))
      for (const [i, other] of others.entries()) await send(store, other, logs[i]!, 'x')
      for (const log of [logs[0]!, logs[1]!]) await update(store, me, log, { pinned: true })
      await send(store, others[0]!, logs[0]!, 'y')
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await listOf(store, me, { limit: 1, ...(cursor !== undefined && { cursor }) })
        seen.push(...page.items.map((item) => item.log))
        cursor = page.cursor
      } while (cursor !== undefined)
      expect(seen.slice(0, 2).sort()).toEqual([logs[0]!, logs[1]!].sort())
      expect(seen.toSorted()).toEqual(logs.toSorted())
    })

    test('a filter lists archived ones apart, and those with something unread or marked so', async () => {
      const store = shared()
      const [me, a, b, c] = await createFriends(store, 'me', 'a', 'b', 'c')
      const logs = [a, b, c].map((other) => directLog(me, other))
      for (const [i, other] of [a, b, c].entries()) await send(store, other, logs[i]!, 'x')
      await update(store, me, logs[0]!, { archived: true })
      await markRead(store, me, logs[1]!, 1)
      const logsOf = async (filter: Params<'conversations.list'>) =>
        (await listOf(store, me, filter)).items.map((item) => item.log).sort()
      expect(await logsOf({ archived: true })).toEqual([logs[0]!])
      expect(await logsOf({ archived: false })).toEqual([logs[1]!, logs[2]!].sort())
      expect(await logsOf({ unread: false })).toEqual([logs[1]!])
      await update(store, me, logs[1]!, { markedUnread: true })
      expect(await logsOf({ unread: true, archived: false })).toEqual([logs[1]!, logs[2]!].sort())
      await markRead(store, me, logs[1]!, 1)
      expect(await logsOf({ unread: false })).toEqual([logs[1]!])
    })

    test('a hidden group stays hidden when something was said while the person was out of it', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      await update(store, bob, group, { hidden: true })
      await leaveGroup(store, bob, group)
      await send(store, alice, group, 'nobody else is here')
      await addMembers(store, alice, group, bob)
      expect((await listOf(store, bob)).items).toEqual([])
      await send(store, alice, group, 'you are back')
      expect((await listOf(store, bob)).items).toMatchObject([{ log: group, unread: 1 }])
    })

    test('a hidden conversation is not listed and not in the badge until its next message', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      await send(store, alice, group, 'one')
      expect(await update(store, bob, group, { hidden: true })).toEqual({ badge: 0 })
      expect(await conversationOf(store, bob, group)).toBeUndefined()
      await leaveGroup(store, alice, group)
      expect(await conversationOf(store, bob, group)).toBeUndefined()
      await send(store, bob, group, 'two')
      expect(await conversationOf(store, bob, group)).toMatchObject({
        unread: 1,
        last: { body: { text: 'two' } },
      })
      expect(await badgeOf(store, bob)).toBe(1)
    })

    test('what is cleared counts as read and is neither last nor in pages, for this person alone', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (const text of ['1', '2', '3']) await send(store, alice, log, text)
      expect(await clear(store, bob, log, 2)).toEqual({ clearedSeq: 2, badge: 1 })
      expect((await readAll(store, bob, log)).map((entry) => entry.seq)).toEqual([3])
      expect(await clear(store, bob, log)).toEqual({ clearedSeq: 3, badge: 0 })
      expect(await clear(store, bob, log, 1)).toEqual({ clearedSeq: 3, badge: 0 })
      expect(await conversationOf(store, bob, log)).toMatchObject({ unread: 0, readSeq: 3, last: null })
      expect(await readAll(store, alice, log)).toHaveLength(3)
      await send(store, alice, log, '4')
      expect(await conversationOf(store, bob, log)).toMatchObject({ unread: 1, last: { seq: 4 } })
    })

    test('an edit, a recall and a reaction move nothing in the list; what I deleted is not the last', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'first')
      await send(store, alice, log, 'second')
      await store.run({ name: 'messages.react', caller: bob, params: { log, seq: 1, emoji: '👍', on: true } })
      await store.run({
        name: 'messages.edit',
        caller: alice,
        params: { log, seq: 1, body: { text: '1st' } },
      })
      expect(await conversationOf(store, bob, log)).toMatchObject({ head: 4, last: { seq: 2 }, unread: 2 })
      await store.run({ name: 'messages.delete', caller: bob, params: { log, seqs: [2] } })
      expect(await conversationOf(store, bob, log)).toMatchObject({ last: { seq: 1 }, unread: 1 })
      expect(await conversationOf(store, alice, log)).toMatchObject({ last: { seq: 2 } })
    })

    test('a message that is withheld from me is not the last, not unread, and lists no conversation', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const withheld = () =>
        sendAndWait(store, alice, {
          ...{ id: null, target: { log, peer: null }, type: 'text', bodyJson: '{"text":"spam"}' },
          marks: { withheld: true },
        })
      await withheld()
      expect(await listOf(store, bob)).toMatchObject({ items: [], badge: 0 })
      expect(await conversationOf(store, alice, log)).toMatchObject({ last: { seq: 1, kind: 'message' } })
      await send(store, alice, log, 'hello')
      await withheld()
      expect(await conversationOf(store, bob, log)).toMatchObject({ last: { seq: 2 }, unread: 1 })
    })

    test('everything is read at once, and again nothing is', async () => {
      const store = shared()
      const [me, a, b] = await createFriends(store, 'me', 'a', 'b')
      const group = await createGroup(store, a, me)
      await send(store, a, directLog(me, a), 'x')
      await send(store, me, group, 'own')
      await send(store, a, group, 'x')
      await send(store, b, directLog(me, b), 'x')
      await update(store, me, directLog(me, b), { mutedUntil: FOREVER })
      const readEverything = () => store.run({ name: 'conversations.readAll', caller: me, params: {} })
      expect(await readEverything()).toEqual({ read: 3, badge: 0, more: false })
      expect(await readEverything()).toEqual({ read: 0, badge: 0, more: false })
      const { items } = await listOf(store, me)
      expect(items.map(({ unread, readSeq, head }) => [unread, readSeq === head])).toEqual(
        items.map(() => [0, true]),
      )
      await send(store, me, group, 'own again')
      await send(store, a, group, 'next')
      expect(await conversationOf(store, me, group)).toMatchObject({ unread: 1 })
    })
  })

  describe('changes of conversations', () => {
    const shared = shareStore(engine)

    test('bring two devices that were away to the same state, each in pages of its own size', async () => {
      const store = shared()
      const [me, a, b, c] = await createFriends(store, 'me', 'a', 'b', 'c')
      const logs = [a, b, c].map((other) => directLog(me, other))
      for (const [i, other] of [a, b, c].entries()) await send(store, other, logs[i]!, 'x')
      const start = await listOf(store, me)
      const phone = new DeviceState(start)
      const tablet = new DeviceState(start)
      await update(store, me, logs[0]!, { pinned: true, draft: 'first' })
      await update(store, me, logs[1]!, { hidden: true })
      await phone.sync(store, me, 1)
      await markRead(store, me, logs[2]!, 1)
      await clear(store, me, logs[0]!)
      await update(store, me, logs[0]!, { draft: 'second' })
      await send(store, b, logs[1]!, 'back')
      await update(store, me, logs[1]!, { archived: true })
      await phone.sync(store, me, 2)
      await tablet.sync(store, me, 1)
      const { items, badge } = await listOf(store, me)
      const truth = new Map(items.map((item) => [item.log, item]))
      expect(phone.items).toEqual(truth)
      expect(tablet.items).toEqual(truth)
      expect([phone.badge, tablet.badge]).toEqual([badge, badge])
    })

    test('that change nothing are none, and one who asks with the newest version gets nothing', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'x')
      await markRead(store, bob, log, 1)
      const { version, items } = await changesOf(store, bob, 0)
      expect(items).toHaveLength(1)
      await markRead(store, bob, log, 1)
      await update(store, bob, log, { pinned: false, draft: null })
      expect(await changesOf(store, bob, version)).toEqual({
        ...{ items: [], removed: [], badge: 0, version, more: false },
      })
    })
  })
}

/** What a device keeps: the list, brought up to date by changes. */
class DeviceState {
  readonly items = new Map<string, Result<'conversations.list'>['items'][number]>()
  badge: number
  #version: number

  constructor(list: Result<'conversations.list'>) {
    for (const item of list.items) this.items.set(item.log, item)
    this.badge = list.badge
    this.#version = list.version
  }

  async sync(store: Store, caller: Caller, limit: number): Promise<void> {
    for (;;) {
      const { items, removed, badge, version, more } = await changesOf(store, caller, this.#version, limit)
      for (const item of items) this.items.set(item.log, item)
      for (const log of removed) this.items.delete(log)
      this.#version = version
      this.badge = badge
      if (!more) return
    }
  }
}
