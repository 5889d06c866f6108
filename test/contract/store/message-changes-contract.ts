/** What its author, or an admin, may change of a message, and for how long. */
import { describe, expect, test } from 'vitest'
import { untilAfter } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { handsOf } from './group-calls.ts'
import { sendOf } from './history-contract.ts'
import {
  block,
  createChat,
  drainOf,
  edit,
  entryOf,
  pin,
  pinsOf,
  react,
  recall,
  textOf,
} from './message-calls.ts'
import {
  createFriends,
  createGroup,
  createPeople,
  gistOf,
  leaveGroup,
  readAll,
  refusalOf,
  send,
} from './people.ts'
import { openRawTables } from './raw-tables.ts'

export function messageChangesContract(engine: () => StoreEngine): void {
  describe('editing', () => editing(engine))
  describe('recalling', () => recalling(engine))
  describe('where messages may be changed for a moment only', () => windows(engine))
}

function editing(engine: () => StoreEngine): void {
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
}

function recalling(engine: () => StoreEngine): void {
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
    expect(entries.filter(({ kind }) => kind === 'recall')).toMatchObject([{ body: { seq, by: alice.uid } }])
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
}

function windows(engine: () => StoreEngine): void {
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
}
