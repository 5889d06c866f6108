import { describe, expect, test } from 'vitest'
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { untilAfter } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { handsOf } from './group-calls.ts'
import { sendOf } from './history-contract.ts'
import {
  createFriends,
  createGroup,
  createPeople,
  directLog,
  gistOf,
  leaveGroup,
  noticesOf,
  pageOf,
  readAll,
  refusalOf,
  send,
  seqsOf,
} from './people.ts'
import { openRawTables } from './raw-tables.ts'

type Of<Name extends 'messages.edit' | 'messages.react'> = Omit<Params<Name>, 'log' | 'seq'>

const edit = (store: Store, caller: Caller, log: LogId, seq: number, params: Of<'messages.edit'>) =>
  store.run({ name: 'messages.edit', caller, params: { log, seq, ...params } })
const recall = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.recall', caller, params: { log, seq } })
const react = (store: Store, caller: Caller, log: LogId, seq: number, params: Of<'messages.react'>) =>
  store.run({ name: 'messages.react', caller, params: { log, seq, ...params } })
const remove = (store: Store, caller: Caller, log: LogId, ...seqs: number[]) =>
  store.run({ name: 'messages.delete', caller, params: { log, seqs } })
const pin = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.pin', caller, params: { log, seq } })
const unpin = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.unpin', caller, params: { log, seq } })
const pinsOf = async (store: Store, caller: Caller, log: LogId) =>
  (await store.run({ name: 'messages.pins', caller, params: { log } })).items
const block = (store: Store, caller: Caller, whom: Caller) =>
  store.run({ name: 'contacts.block', caller, params: { uid: whom.uid } })

const textOf = (text: string) => ({ body: { text } })

async function entryOf(store: Store, caller: Caller, log: LogId, seq: number): Promise<Entry> {
  const { entries } = await store.run({ name: 'messages.get', caller, params: { log, seqs: [seq] } })
  return entries[0]!
}

/** What a device that was away is sent of a log after a seq. */
async function drainOf(store: Store, { uid }: Caller, log: LogId, after = 0) {
  const request = { uid, device: null, requests: [{ log, after }], entriesMax: 100, bytesMax: 1_000_000 }
  const { pages, bytes } = await store.drain(request)
  const page = pages[0]!
  const entries = page.ends.map((end, i) => JSON.parse(String(bytes.subarray(page.ends[i - 1] ?? 0, end))))
  return { entries: entries as Entry[], through: page.through }
}

/** Two friends with one message of the first. */
async function createChat(store: Store, text = 'hello') {
  const [alice, bob] = await createFriends(store, 'alice', 'bob')
  const log = directLog(alice, bob)
  const { seq } = await send(store, alice, log, text)
  return { alice, bob, log, seq }
}

export function messageLifeContract(engine: () => StoreEngine): void {
  describe('editing', () => {
    const shared = shareStore(engine)

    test('replaces the content for history and for devices that were away, and is told by an entry', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store, 'secert')
      expect(await edit(store, alice, log, seq, textOf('secret'))).toMatchObject({ count: 1 })
      const entries = await readAll(store, bob, log)
      expect(entries).toMatchObject([
        { seq: 1, kind: 'message', body: { text: 'secret' }, state: { edited: { count: 1, seq: 2 } } },
        { seq: 2, kind: 'edit', from: alice.uid, body: { seq: 1, body: { text: 'secret' }, count: 1 } },
      ])
      expect((await drainOf(store, bob, log)).entries).toEqual(entries)
    })

    test('of several devices at once is decided by the order of the entries', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      const texts = Array.from({ length: 12 }, (_, i) => `version ${i}`)
      await Promise.all(texts.map((text) => edit(store, alice, log, seq, textOf(text))))
      const [message, ...edits] = await readAll(store, bob, log)
      expect(edits.map(({ body }) => (body as { count: number }).count)).toEqual(texts.map((_, i) => i + 1))
      expect(edits.at(-1)!.body).toEqual({ seq, count: 12, body: message!.body })
      expect(edits.slice(0, -1).every(({ body }) => !Object.hasOwn(body as object, 'body'))).toBe(true)
    })

    test('with the count that the editor saw, one of two at once is refused', async () => {
      const store = shared()
      const { alice, log, seq } = await createChat(store)
      const outcomes = await Promise.allSettled(
        ['a', 'b'].map((text) => edit(store, alice, log, seq, { ...textOf(text), count: 0 })),
      )
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      const refusal = await edit(store, alice, log, seq, { ...textOf('c'), count: 0 }).catch((error) => error)
      expect(refusal).toMatchObject({ code: 'edit_conflict', details: { count: 1 } })
      expect(await edit(store, alice, log, seq, { ...textOf('c'), count: 1 })).toMatchObject({ count: 2 })
    })

    test('keeps what the message answers and when it ends, and does not make it unread', async () => {
      const store = shared()
      const { alice, bob, log } = await createChat(store)
      const { seq } = await sendOf(store, alice, log, 'text', { text: 'a', replyTo: { seq: 1 } })
      await store.run({ name: 'conversations.read', caller: bob, params: { log, seq } })
      await edit(store, alice, log, seq, { body: { text: 'b', replyTo: { seq: 9 } } })
      expect((await entryOf(store, bob, log, seq)).body).toEqual({ text: 'b', replyTo: { seq: 1 } })
      const { items } = await store.run({ name: 'conversations.list', caller: bob, params: {} })
      expect(items.find((item) => item.log === log)?.unread).toBe(0)
    })

    test('changes no copy of what another wrote, and makes no message one', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      const forwarded = [{ from: bob.uid, at: 1 }]
      const copy = await sendOf(store, alice, log, 'text', { text: 'as bob wrote it', forwarded })
      expect(await refusalOf(edit(store, alice, log, copy.seq, textOf('as he did not')))).toBe('not_author')
      const claim = { body: { text: 'as he did not', forwarded } }
      expect(await refusalOf(edit(store, alice, log, seq, claim))).toBe('bad_request')
      expect((await entryOf(store, bob, log, copy.seq)).body).toEqual({ text: 'as bob wrote it', forwarded })
    })

    test('is for its author alone, in their own conversations, with a body of the type', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      const [eve] = await createPeople(store, 'eve')
      const change = textOf('changed')
      expect(await refusalOf(edit(store, eve, log, seq, change))).toBe('unknown_log')
      expect(await refusalOf(edit(store, bob, log, seq, change))).toBe('not_author')
      expect(await refusalOf(edit(store, alice, log, 99, change))).toBe('unknown_entry')
      expect(await refusalOf(edit(store, alice, log, seq, { body: { txt: 'x' } }))).toBe('bad_request')
      const group = await createGroup(store, alice, bob)
      expect(await refusalOf(edit(store, alice, group, 1, change))).toBe('unknown_entry')
      const own = await send(store, bob, group, 'mine')
      await leaveGroup(store, bob, group)
      expect(await refusalOf(edit(store, bob, group, own.seq, change))).toBe('not_member')
      await block(store, bob, alice)
      expect(await refusalOf(edit(store, alice, log, seq, change))).toBe('blocked')
      expect(gistOf(await readAll(store, bob, log))).toEqual(['hello'])
    })

    test('an edit of who is muted says whether they are or the whole group, and until when', async () => {
      const store = shared()
      const [owner, ann] = await createFriends(store, 'owner', 'ann')
      const id = await createGroup(store, owner, ann)
      const { seq } = await send(store, ann, id, 'hello')
      const until = Date.now() + 3_600_000
      const muted = (of: string, end: number) => ({ code: 'muted', details: { of, until: end } })
      const mute = (params: { uid?: string; untilMs: number }) =>
        handsOf(store, owner).do('groups.mute', { id, ...params })

      await mute({ untilMs: until })
      await expect(edit(store, ann, id, seq, textOf('x'))).rejects.toMatchObject(muted('group', until))
      await mute({ uid: ann.uid, untilMs: until + 1 })
      await expect(edit(store, ann, id, seq, textOf('x'))).rejects.toMatchObject(muted('member', until + 1))
    })
  })

  describe('recalling', () => {
    const shared = shareStore(engine)

    test('or editing does not make a repeated send of the message a new one, or refused', async () => {
      const store = shared()
      const { alice, log } = await createChat(store)
      for (const [id, change] of [
        ['edited', (seq: number) => edit(store, alice, log, seq, textOf('better'))],
        ['recalled', (seq: number) => recall(store, alice, log, seq)],
      ] as const) {
        const { seq } = await send(store, alice, log, 'as it was', id)
        await change(seq)
        expect(await send(store, alice, log, 'as it was', id)).toMatchObject({ seq })
      }
      const { seq } = await send(store, alice, log, 'liked', 'liked')
      await react(store, alice, log, seq, { emoji: '👍' })
      expect(await refusalOf(send(store, alice, log, 'another', 'liked'))).toBe('id_conflict')
    })

    test('takes the content from everywhere, once, and is told by an entry', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store, 'never said')
      await edit(store, alice, log, seq, textOf('never said so'))
      await react(store, bob, log, seq, { emoji: '👍' })
      await pin(store, bob, log, seq)
      await recall(store, alice, log, seq)
      await recall(store, alice, log, seq)
      const entries = await readAll(store, bob, log)
      expect(JSON.stringify([entries, await drainOf(store, bob, log)])).not.toContain('never said')
      expect(entries[0]).toMatchObject({
        body: {},
        state: { recalled: { by: alice.uid, reason: 'recalled' } },
      })
      expect(entries[0]?.state).not.toHaveProperty('reactions')
      expect(entries.filter(({ kind }) => kind === 'recall')).toMatchObject([
        { body: { seq, by: alice.uid } },
      ])
      expect(await pinsOf(store, bob, log)).toEqual([])
      for (const act of [
        edit(store, alice, log, seq, textOf('again')),
        react(store, bob, log, seq, { emoji: '👍' }),
        pin(store, bob, log, seq),
      ]) {
        expect(await refusalOf(act)).toBe('recalled')
      }
    })

    test('shows none of very many reactions at once, and deletes them a part at a time', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      await react(store, bob, log, seq, { emoji: '👍' })
      await using tables = await openRawTables(engine())
      const ofMessage = `from log where log.name = '${log}'`
      await tables.query(
        `with recursive number (n) as (select 1 union all select n + 1 from number where n < 1700)
         insert into reaction (log, seq, account, emoji, reacted_at)
         select log.n, ${seq}, 1000000 + number.n, ':x:', 0 from number, log where log.name = '${log}'`,
      )
      const count = async (table: string) => {
        const sql = `select count(*) as rows from ${table} where log = (select n ${ofMessage}) and seq = ${seq}`
        return Number((await tables.query(sql))[0]!.rows)
      }
      await recall(store, alice, log, seq)
      const left = await count('reaction')
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThan(1701)
      const params = { log, seq }
      expect(await store.run({ name: 'messages.reactions', caller: bob, params })).toEqual({ items: [] })
      while ((await store.perform({ task: 'expireMessages', input: { limit: 50 } })) > 0);
      expect([await count('reaction'), await count('expiry')]).toEqual([0, 0])
      expect((await entryOf(store, bob, log, seq)).state).toMatchObject({ recalled: { reason: 'recalled' } })
    })

    test('is for the author, in groups also for owner and admins', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      expect(await refusalOf(recall(store, bob, log, seq))).toBe('not_author')
      const [owner, ann, ben] = await createFriends(store, 'owner', 'ann', 'ben')
      const group = await createGroup(store, owner, ann, ben)
      const bens = await send(store, ben, group, 'spam')
      expect(await refusalOf(recall(store, ann, group, bens.seq))).toBe('not_author')
      await recall(store, owner, group, bens.seq)
      expect((await entryOf(store, ann, group, bens.seq)).state?.recalled?.by).toBe(owner.uid)
      expect(await refusalOf(recall(store, alice, group, bens.seq))).toBe('unknown_log')
    })
  })

  describe('where messages may be changed for a moment only', () => {
    const shared = shareStore(engine, { policy: { editWindowMs: 1, recallWindowMs: 1 } })

    test('the author is too late, and the owner of a group is not', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      const group = await createGroup(store, alice, bob)
      const bobs = await send(store, bob, group, 'hello')
      await untilAfter(bobs.at + 1)
      const late = { code: 'too_late', details: { windowMs: 1 } }
      await expect(edit(store, alice, log, seq, textOf('x'))).rejects.toMatchObject(late)
      await expect(recall(store, alice, log, seq)).rejects.toMatchObject(late)
      expect(await refusalOf(recall(store, bob, group, bobs.seq))).toBe('too_late')
      await recall(store, alice, group, bobs.seq)
    })
  })

  describe('reactions', () => {
    const shared = shareStore(engine, { contactsRequired: false })

    test('are a toggle, told by entries, and do not make anything unread', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      expect(await react(store, bob, log, seq, { emoji: '👍' })).toEqual({ on: true, count: 1 })
      expect(await react(store, alice, log, seq, { emoji: '👍' })).toEqual({ on: true, count: 2 })
      expect(await react(store, bob, log, seq, { emoji: '👍', on: true })).toEqual({ on: true, count: 2 })
      expect((await entryOf(store, bob, log, seq)).state).toEqual({ reactions: { '👍': 2 } })
      expect(await react(store, bob, log, seq, { emoji: '👍' })).toEqual({ on: false, count: 1 })
      expect(await react(store, alice, log, seq, { emoji: '👍', on: false })).toEqual({ on: false, count: 0 })
      expect(await entryOf(store, bob, log, seq)).not.toHaveProperty('state')
      const told = (await readAll(store, bob, log)).slice(1)
      expect(told.map(({ kind, type, from }) => [kind, type, from])).toEqual([
        ['reaction', 'added', bob.uid],
        ['reaction', 'added', alice.uid],
        ['reaction', 'removed', bob.uid],
        ['reaction', 'removed', alice.uid],
      ])
      expect(told[0]?.body).toEqual({ seq, emoji: '👍', on: true })
      const { badge } = await store.run({ name: 'conversations.list', caller: bob, params: {} })
      expect(badge).toBe(1)
    })

    test('of many at once are counted exactly, and listed page by page', async () => {
      const store = shared()
      const members = await createPeople(store, ...Array.from({ length: 16 }, (_, i) => `m${i}`))
      const [owner, ...others] = members as [Caller, ...Caller[]]
      const log = await createGroup(store, owner, ...others)
      const { seq } = await send(store, owner, log, 'react!')
      await Promise.all(
        members.flatMap((member) =>
          ['👍', ':party:'].map((emoji) => react(store, member, log, seq, { emoji })),
        ),
      )
      await Promise.all(others.slice(0, 9).map((member) => react(store, member, log, seq, { emoji: '👍' })))
      expect((await entryOf(store, owner, log, seq)).state).toEqual({
        reactions: { '👍': 7, ':party:': 16 },
      })
      const list = async (emoji?: string) => {
        const items: { uid: string; emoji: string }[] = []
        let cursor: string | undefined
        do {
          const params = { log, seq, limit: 8, ...(emoji && { emoji }), ...(cursor && { cursor }) }
          const page = await store.run({ name: 'messages.reactions', caller: owner, params })
          items.push(...page.items)
          cursor = page.cursor
        } while (cursor !== undefined)
        return items
      }
      expect(new Set((await list()).map(({ uid, emoji }) => `${uid} ${emoji}`)).size).toBe(23)
      expect(new Set((await list('👍')).map(({ uid }) => uid))).toEqual(
        new Set([owner, ...others.slice(9)].map(({ uid }) => uid)),
      )
    })

    test('are one emoji or a short name, few of one person and not too many different ones', async () => {
      const store = shared()
      const { alice, bob, log, seq } = await createChat(store)
      for (const emoji of ['x', '👍👍', '', ':Not A Name:', '__proto__', '👍\u0000', ' ', '1']) {
        expect(await refusalOf(react(store, bob, log, seq, { emoji })), emoji).toBe('bad_request')
      }
      for (const emoji of ['👨‍👩‍👧‍👦', '🇨🇳', '❤️', '👍🏽', ':+1:'])
        await react(store, bob, log, seq, { emoji })
      expect(await refusalOf(react(store, bob, log, seq, { emoji: '🎉' }))).toBe('too_many_reactions')
      expect(await react(store, bob, log, seq, { emoji: ':+1:' })).toMatchObject({ on: false })
      const more = await createPeople(store, 'c', 'd', 'e')
      const people = [alice, bob, ...more]
      const group = await createGroup(store, alice, bob, ...more)
      const { seq: popular } = await send(store, alice, group, 'popular')
      const names = Array.from({ length: 21 }, (_, i) => `:e${i}:`)
      for (const [i, emoji] of names.slice(0, 20).entries()) {
        await react(store, people[i % 5]!, group, popular, { emoji })
      }
      const full = react(store, bob, group, popular, { emoji: names[20]! })
      expect(await refusalOf(full)).toBe('too_many_reactions')
      expect(await react(store, bob, group, popular, { emoji: names[0]! })).toMatchObject({ count: 2 })
      expect(await refusalOf(react(store, more[0], group, 1, { emoji: '👍' }))).toBe('unknown_entry')
    })
  })

  describe('deleting for oneself', () => {
    const shared = shareStore(engine)

    test('takes messages out of my pages, drains and list, tells my devices, and leaves them to others', async () => {
      const store = shared()
      const { alice, bob, log } = await createChat(store, 'one')
      for (const text of ['two', 'three', 'four']) await send(store, alice, log, text)
      await remove(store, bob, log, 2, 4, 77)
      await remove(store, bob, log, 2)
      expect(gistOf(await readAll(store, bob, log))).toEqual(['one', 'three'])
      expect(await entryOf(store, bob, log, 2)).toBeUndefined()
      expect(await drainOf(store, bob, log)).toMatchObject({ entries: [{ seq: 1 }, { seq: 3 }], through: 4 })
      expect(await drainOf(store, bob, log, 3)).toEqual({ entries: [], through: 4 })
      const { items } = await store.run({ name: 'conversations.list', caller: bob, params: {} })
      expect(items.find((item) => item.log === log)?.last?.seq).toBe(3)
      expect((await noticesOf(store, bob)).filter(({ type }) => type === 'hidden')).toEqual([
        { type: 'hidden', body: { log, seqs: [2, 4] } },
      ])
      expect(gistOf(await readAll(store, alice, log))).toEqual(['one', 'two', 'three', 'four'])
      expect(seqsOf((await drainOf(store, alice, log)).entries)).toEqual([1, 2, 3, 4])
      await send(store, alice, log, 'five')
      expect(gistOf(await readAll(store, bob, log))).toEqual(['one', 'three', 'five'])
      expect(await refusalOf(react(store, bob, log, 2, { emoji: '👍' }))).toBe('unknown_entry')
    })

    test('of a conversation of others is refused', async () => {
      const store = shared()
      const { log } = await createChat(store)
      const [eve] = await createPeople(store, 'eve')
      expect(await refusalOf(remove(store, eve, log, 1))).toBe('unknown_log')
    })
  })

  describe('pins', () => {
    const shared = shareStore(engine)

    test('are seen by both of a direct conversation, the last first, and may be taken away by both', async () => {
      const store = shared()
      const { alice, bob, log } = await createChat(store, 'one')
      await send(store, bob, log, 'two')
      await pin(store, bob, log, 1)
      await pin(store, alice, log, 2)
      await pin(store, alice, log, 2)
      expect(await pinsOf(store, bob, log)).toMatchObject([
        { seq: 2, by: alice.uid, entry: { body: { text: 'two' } } },
        { seq: 1, by: bob.uid, entry: { body: { text: 'one' } } },
      ])
      await unpin(store, bob, log, 2)
      await unpin(store, bob, log, 2)
      await remove(store, bob, log, 1)
      expect(await pinsOf(store, bob, log)).toEqual([])
      expect((await pinsOf(store, alice, log)).map(({ seq }) => seq)).toEqual([1])
      const told = (await pageOf(store, alice, log)).entries.filter(({ kind }) => kind === 'notice')
      expect(told.map(({ type, body }) => [type, body])).toEqual([
        ['pinned', { seq: 1 }],
        ['pinned', { seq: 2 }],
        ['unpinned', { seq: 2 }],
      ])
    })

    test('of a group are set by those whom its rules allow, and bounded', async () => {
      const store = shared()
      const [owner, ann] = await createFriends(store, 'owner', 'ann')
      const log = await createGroup(store, owner, ann)
      for (let i = 0; i < 51; i++) await send(store, ann, log, `${i}`)
      expect(await refusalOf(pin(store, ann, log, 2))).toBe('not_admin')
      for (let seq = 2; seq <= 51; seq++) await pin(store, owner, log, seq)
      expect(await refusalOf(pin(store, owner, log, 52))).toBe('too_many_pins')
      expect(await pinsOf(store, ann, log)).toHaveLength(50)
      expect((await readAll(store, ann, log)).at(-1)).toMatchObject({
        kind: 'group',
        type: 'pinned',
        body: { seq: 51 },
      })
      expect(await refusalOf(unpin(store, ann, log, 2))).toBe('not_admin')
    })
  })
}
