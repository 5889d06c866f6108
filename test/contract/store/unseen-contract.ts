/** What a person may not see, they do not see, whichever way they look. */
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { recordFeed } from './feed-recorder.ts'
import {
  addMembers,
  conversationOf,
  createFriends,
  createGroup,
  directLog,
  gistOf,
  pageOf,
  readAll,
  refusalOf,
  removeMembers,
  send,
} from './people.ts'

/** What a device that was away since `after` is sent. */
async function drainOf(store: Store, { uid }: Caller, log: LogId, after = 0) {
  const request = { uid, device: null, requests: [{ log, after }], entriesMax: 100, bytesMax: 1_000_000 }
  const { pages, bytes } = await store.drain(request)
  const { ends, through, gap } = pages[0]!
  const entries = ends.map((end, i) => JSON.parse(String(bytes.subarray(ends[i - 1] ?? 0, end))) as Entry)
  return { entries, through, gap }
}

const clear = (store: Store, caller: Caller, log: LogId, seq?: number) =>
  store.run({
    name: 'conversations.clear',
    caller,
    params: { log, ...(seq !== undefined && { seq }) },
  })

const edit = (store: Store, caller: Caller, log: LogId, seq: number, body: Params<'messages.edit'>['body']) =>
  store.run({ name: 'messages.edit', caller, params: { log, seq, body } })
const react = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.react', caller, params: { log, seq, emoji: '👍' } })
const remove = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.delete', caller, params: { log, seqs: [seq] } })
const pin = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.pin', caller, params: { log, seq } })
const pinsOf = async (store: Store, caller: Caller, log: LogId) =>
  (await store.run({ name: 'messages.pins', caller, params: { log } })).items
const getOne = async (store: Store, caller: Caller, log: LogId, seq: number) =>
  (await store.run({ name: 'messages.get', caller, params: { log, seqs: [seq] } })).entries[0]!
const search = async (store: Store, caller: Caller, query: string) =>
  (await store.run({ name: 'messages.search', caller, params: { query } })).items
const forward = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.perform({ task: 'readOrigins', input: { caller, log, seqs: [seq] } })

async function indexAll(store: Store): Promise<void> {
  while ((await store.perform({ task: 'indexMessages', input: { limit: 500 } })) > 0);
}

/** A file that is complete. */
async function createFile(store: Store, caller: Caller): Promise<string> {
  const sha256 = createHash('sha256').update(randomBytes(8)).digest('hex')
  const params = { name: 'a.bin', type: 'image/png', bytes: 10, sha256 }
  const { id } = await store.run({ name: 'media.create', caller, params })
  const found = { type: 'image/png', width: 4, height: 3, thumbnail: true }
  await store.perform({ task: 'finishUpload', input: { uid: caller.uid, id, ...found } })
  return id
}

function sendFile(store: Store, from: Caller, log: LogId, id: string) {
  const bodyJson = JSON.stringify({ media: id })
  const target = { log, peer: null }
  return sendAndWait(store, from, { id: null, target, type: 'image', bodyJson, marks: { media: [id] } })
}

/** Every way to look at a conversation, as one text. */
async function allThatIsShown(store: Store, caller: Caller, log: LogId): Promise<string> {
  const params = { log }
  return JSON.stringify([
    await readAll(store, caller, log),
    await drainOf(store, caller, log),
    await conversationOf(store, caller, log),
    (await pinsOf(store, caller, log)).map(({ entry }) => entry),
    await store.run({ name: 'messages.page', caller, params: { ...params, kind: 'links' } }),
    await store.run({ name: 'messages.page', caller, params: { ...params, types: ['text', 'image'] } }),
  ])
}

export function unseenContract(engine: () => StoreEngine): void {
  describe('a history that was cleared', () => {
    const shared = shareStore(engine)

    test('is not sent to devices that were away, which go on behind it', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (const text of ['one', 'two', 'three']) await send(store, alice, log, text)
      await clear(store, bob, log, 2)
      const drained = await drainOf(store, bob, log)
      expect([gistOf(drained.entries), drained.through, drained.gap]).toEqual([['three'], 3, null])
      await clear(store, bob, log)
      expect(await drainOf(store, bob, log, 1)).toEqual({ entries: [], through: 3, gap: null })
      expect(gistOf((await drainOf(store, alice, log)).entries)).toEqual(['one', 'two', 'three'])
    })
  })

  describe('an edit', () => {
    const shared = shareStore(engine)

    test('is not for who has left: a message that was edited since has no content for them', async () => {
      const store = shared()
      const [alice, bob, carl] = await createFriends(store, 'alice', 'bob', 'carl')
      const log = await createGroup(store, alice, bob, carl)
      const kept = await send(store, alice, log, 'kept as it was')
      const { seq } = await send(store, alice, log, 'the old plan')
      await pin(store, alice, log, seq)
      await removeMembers(store, alice, log, bob)
      const { count } = await edit(store, alice, log, seq, {
        text: 'zebra: the new plan, https://example.org',
      })
      await indexAll(store)

      expect(await allThatIsShown(store, bob, log)).not.toContain('zebra')
      const shown = await getOne(store, bob, log, seq)
      expect(shown).toMatchObject({ seq, type: 'text', body: {}, state: { edited: { count, unseen: true } } })
      expect((await readAll(store, bob, log)).find((entry) => entry.seq === seq)).toEqual(shown)
      expect((await drainOf(store, bob, log)).entries.find((entry) => entry.seq === seq)).toEqual(shown)
      expect((await pageOf(store, bob, log, { kind: 'links' })).entries).toEqual([])
      expect(await search(store, bob, 'zebra')).toEqual([])
      expect(await refusalOf(forward(store, bob, log, seq))).toBe('unknown_entry')
      expect(await forward(store, bob, log, kept.seq)).toMatchObject([{ body: { text: 'kept as it was' } }])

      expect((await getOne(store, carl, log, seq)).state?.edited).not.toHaveProperty('unseen')
      expect(await allThatIsShown(store, carl, log)).toContain('zebra')
      expect(await search(store, carl, 'zebra')).toHaveLength(1)
    })

    test('is not for who was out when it came, also when they come back; the next one is', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = await createGroup(store, alice, bob)
      const { seq } = await send(store, alice, log, 'one')
      await removeMembers(store, alice, log, bob)
      await edit(store, alice, log, seq, { text: 'zebra' })
      await addMembers(store, alice, log, bob)
      await indexAll(store)
      expect(await allThatIsShown(store, bob, log)).not.toContain('zebra')
      expect(await search(store, bob, 'zebra')).toEqual([])
      await edit(store, alice, log, seq, { text: 'zebra for all' })
      await indexAll(store)
      expect(await getOne(store, bob, log, seq)).toMatchObject({ body: { text: 'zebra for all' } })
      expect(await search(store, bob, 'zebra')).toHaveLength(1)
      expect((await drainOf(store, bob, log, seq)).entries.at(-1)?.body).toMatchObject({
        body: { text: 'zebra for all' },
      })
    })

    test('that brings another file brings it to nobody who was out, to look at or to send on', async () => {
      const store = shared()
      const [alice, bob, carl] = await createFriends(store, 'alice', 'bob', 'carl')
      const log = await createGroup(store, alice, bob, carl)
      const [old, swapped] = [await createFile(store, alice), await createFile(store, alice)]
      const { seq } = await sendFile(store, alice, log, old)
      const looks = (caller: Caller, id: string) =>
        store.run({ name: 'media.get', caller, params: { id } }).then(
          () => true,
          () => false,
        )
      expect(await looks(bob, old)).toBe(true)
      await removeMembers(store, alice, log, bob)
      await edit(store, alice, log, seq, { media: swapped })
      expect([await looks(bob, swapped), await looks(carl, swapped)]).toEqual([false, true])
      expect(await refusalOf(sendFile(store, bob, directLog(alice, bob), swapped))).toBe('unknown_media')
      await sendFile(store, carl, directLog(alice, carl), swapped)
      expect(await allThatIsShown(store, bob, log)).not.toContain(swapped)
    })

    test('says what a message is now only to those who may see the message', async () => {
      const store = shared()
      const [alice, bob, carl, dora] = await createFriends(store, 'alice', 'bob', 'carl', 'dora')
      const log = await createGroup(store, alice, bob, carl)
      const { seq } = await send(store, alice, log, 'one')
      await addMembers(store, alice, log, dora)
      await remove(store, carl, log, seq)
      await edit(store, alice, log, seq, { text: 'zebra' })
      const told = async (caller: Caller) => [
        (await readAll(store, caller, log)).find(({ kind }) => kind === 'edit')?.body,
        (await drainOf(store, caller, log)).entries.find(({ kind }) => kind === 'edit')?.body,
      ]
      const without = { seq, count: 1 }
      expect(await told(bob)).toEqual(Array(2).fill({ ...without, body: { text: 'zebra' } }))
      for (const caller of [carl, dora]) {
        expect(await told(caller)).toEqual([without, without])
        expect(await allThatIsShown(store, caller, log)).not.toContain('zebra')
      }
      await clear(store, bob, log, seq)
      expect(await told(bob)).toEqual([without, without])
    })

    test('is read by each device itself where it is not the same for all, and is carried where it is', async () => {
      const store = shared()
      const [alice, bob, carl] = await createFriends(store, 'alice', 'bob', 'carl')
      const direct = directLog(alice, bob)
      const group = await createGroup(store, alice, bob)
      const [ours, all] = [await send(store, alice, direct, 'one'), await send(store, alice, group, 'one')]
      const feed = recordFeed(store)
      const editBoth = async (text: string) => {
        feed.said.length = 0
        for (const [log, { seq }] of [[direct, ours] as const, [group, all] as const])
          await edit(store, alice, log, seq, { text })
        return feed.said.map((said) => said.split(' ')[0])
      }
      expect(await editBoth('two')).toEqual(['entry', 'entry'])
      await addMembers(store, alice, group, carl)
      expect(await editBoth('three')).toEqual(['entry', 'grew'])
      await clear(store, bob, direct)
      expect(await editBoth('four')).toEqual(['grew', 'grew'])
      const later = await send(store, alice, group, 'later')
      feed.said.length = 0
      await edit(store, alice, group, later.seq, { text: 'later still' })
      await remove(store, bob, group, later.seq)
      await edit(store, alice, group, later.seq, { text: 'much later' })
      expect(feed.said.filter((said) => said.startsWith('grew'))).toHaveLength(1)
      expect(JSON.stringify(feed.entries)).not.toContain('much later')
    })
  })

  describe('what others do in a group after one has left', () => {
    const shared = shareStore(engine)

    test('is not told: no name, reactions, pins or readers of later', async () => {
      const store = shared()
      const [alice, bob, carl] = await createFriends(store, 'alice', 'bob', 'carl')
      const log = await createGroup(store, alice, bob, carl)
      const { seq } = await send(store, alice, log, 'one')
      await react(store, alice, log, seq)
      await removeMembers(store, alice, log, bob)
      await store.run({ name: 'groups.update', caller: alice, params: { id: log, name: 'zebra' } })
      await react(store, carl, log, seq)
      await pin(store, alice, log, seq)

      expect((await conversationOf(store, bob, log))?.name).toBe('a group')
      expect((await conversationOf(store, carl, log))?.name).toBe('zebra')
      const shown = await getOne(store, bob, log, seq)
      expect(shown).toMatchObject({ body: { text: 'one' } })
      expect(shown).not.toHaveProperty('state')
      const drained = (await drainOf(store, bob, log)).entries
      expect(drained.find((entry) => entry.seq === seq)).toEqual(shown)
      const params = { log, seq }
      expect(await store.run({ name: 'messages.reactions', caller: bob, params })).toEqual({ items: [] })
      expect(await pinsOf(store, bob, log)).toEqual([])
      expect(await refusalOf(store.run({ name: 'messages.readers', caller: bob, params }))).toBe('not_member')
      await addMembers(store, alice, log, bob)
      expect((await getOne(store, bob, log, seq)).state?.reactions).toEqual({ '👍': 2 })
      expect((await conversationOf(store, bob, log))?.name).toBe('zebra')
    })
  })
}
