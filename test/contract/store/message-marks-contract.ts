/** What readers do with a message: react to it, delete it for themselves, pin it. */
import { describe, expect, test } from 'vitest'
import type { Caller } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { createChat, drainOf, entryOf, pin, pinsOf, react, remove, unpin } from './message-calls.ts'
import {
  createFriends,
  createGroup,
  createPeople,
  gistOf,
  noticesOf,
  pageOf,
  readAll,
  refusalOf,
  send,
  seqsOf,
} from './people.ts'

export function messageMarksContract(engine: () => StoreEngine): void {
  describe('reactions', () => reactions(engine))
  describe('deleting for oneself', () => deleting(engine))
  describe('pins', () => pins(engine))
}

function reactions(engine: () => StoreEngine): void {
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
    for (const emoji of ['👨‍👩‍👧‍👦', '🇨🇳', '❤️', '👍🏽', ':+1:']) await react(store, bob, log, seq, { emoji })
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
}

function deleting(engine: () => StoreEngine): void {
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
}

function pins(engine: () => StoreEngine): void {
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
}
