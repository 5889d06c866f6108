import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  createFriends,
  createGroup,
  createPeople,
  directLog,
  leaveGroup,
  refusalOf,
  removeMembers,
} from './people.ts'

const PART = 1000
const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex')

const create = (
  store: Store,
  caller: Caller,
  bytes: number,
  sha256 = sha256Of(randomBytes(8).toString('hex')),
) => store.run({ name: 'media.create', caller, params: { name: 'a.bin', type: 'image/png', bytes, sha256 } })
const getMedia = (store: Store, caller: Caller, id: string) =>
  store.run({ name: 'media.get', caller, params: { id } })
const remove = (store: Store, caller: Caller, id: string) =>
  store.run({ name: 'media.delete', caller, params: { id } })
const usage = (store: Store, caller: Caller) => store.run({ name: 'media.usage', caller, params: {} })
const canSee = (store: Store, caller: Caller, id: string): Promise<boolean> =>
  getMedia(store, caller, id).then(
    () => true,
    () => false,
  )

/** A file that is complete, as the service leaves it in the store. */
async function createReady(store: Store, { uid, device }: Caller, bytes = 10): Promise<string> {
  const { id } = await create(store, { uid, device }, bytes)
  const found = { type: 'image/png', width: 4, height: 3, thumbnail: true }
  await store.perform({ task: 'finishUpload', input: { uid, id, ...found } })
  return id
}

function sendFile(store: Store, from: Caller, log: LogId, id: string, withheld = false) {
  const marks = { media: [id], ...(withheld && { withheld }) }
  const bodyJson = JSON.stringify({ media: id })
  return sendAndWait(store, from, { id: null, target: { log, peer: null }, type: 'image', bodyJson, marks })
}

/** Takes steps until the walk has come to its end; gives the ids that are to be removed from storage. */
async function sweep(
  store: Store,
  times: { uploadsBefore?: number; unusedBefore?: number; retiredBefore?: number },
) {
  const doomed: string[] = []
  let after: { madeAt: number; id: string } | null = { madeAt: 0, id: '' }
  while (after !== null) {
    const input = { after, uploadsBefore: 0, unusedBefore: 0, retiredBefore: 0, ...times, limit: 3 }
    const step: Awaited<ReturnType<typeof sweepStep>> = await sweepStep(store, input)
    doomed.push(...step.doomed.map(({ id }) => id))
    await store.perform({ task: 'forgetMedia', input: { ids: step.doomed.map(({ id }) => id) } })
    after = step.after
    if (step.doomed.length > 0) after ??= { madeAt: 0, id: '' }
  }
  return doomed
}
const sweepStep = (store: Store, input: Parameters<typeof runSweep>[1]) => runSweep(store, input)
const runSweep = (
  store: Store,
  input: {
    after: { madeAt: number; id: string }
    uploadsBefore: number
    unusedBefore: number
    retiredBefore: number
    limit: number
  },
) => store.perform({ task: 'sweepMedia', input })

const FAR = Date.UTC(2200, 0)

export function mediaContract(engine: () => StoreEngine): void {
  describe('media', () => {
    const policy = { mediaPartBytes: PART, mediaBytesMax: 5000, mediaQuotaBytes: 9000, mediaUploadsMax: 3 }
    const shared = shareStore(engine, { policy })

    test('an upload is gone on with by the same bytes and digest, and knows its missing parts', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const sha256 = sha256Of('one')
      const first = await create(store, alice, 2500, sha256)
      expect(first).toMatchObject({ partBytes: PART, parts: [1, 2, 3] })
      const kept = { uid: alice.uid, id: first.id, part: 2, bytes: PART }
      await store.perform({ task: 'keepMediaPart', input: kept })
      await store.perform({ task: 'keepMediaPart', input: kept })
      expect(await create(store, alice, 2500, sha256)).toEqual({ ...first, parts: [1, 3] })
      expect((await create(store, alice, 2501, sha256)).id).not.toBe(first.id)
      expect((await create(store, bob, 2500, sha256)).id).not.toBe(first.id)
      expect(await getMedia(store, alice, first.id)).toMatchObject({
        state: 'uploading',
        name: 'a.bin',
        bytes: 2500,
        parts: [1, 3],
      })
      expect(await refusalOf(getMedia(store, bob, first.id))).toBe('unknown_media')
      const foreign = store.perform({ task: 'keepMediaPart', input: { ...kept, uid: bob.uid } })
      expect(await refusalOf(foreign)).toBe('unknown_media')
    })

    test('size, quota and the number of uploads are bounded, also for uploads that begin at once', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      expect(await refusalOf(create(store, alice, 5001))).toBe('too_large')
      await createReady(store, alice, 5000)
      expect(await refusalOf(create(store, alice, 4001))).toBe('media_quota')
      const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => create(store, alice, 1000)))
      expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(3)
      expect(await refusalOf(create(store, alice, 1000))).toBe('too_many_uploads')
      expect(await usage(store, alice)).toMatchObject({ bytes: 8000, files: 4, quotaBytes: 9000 })
    })

    test('who may see a message with a file may see the file, and nobody else', async () => {
      const store = shared()
      const [alice, bob, cat, eve] = await createFriends(store, 'alice', 'bob', 'cat', 'eve')
      const group = await createGroup(store, alice, bob, cat)
      const id = await createReady(store, alice)
      expect(await canSee(store, bob, id)).toBe(false)
      const early = await createReady(store, alice)
      await sendFile(store, alice, group, early)
      await removeMembers(store, alice, group, cat)
      await sendFile(store, alice, group, id)
      expect(await getMedia(store, bob, id)).toMatchObject({ state: 'ready', width: 4, thumbnail: true })
      expect([await canSee(store, cat, early), await canSee(store, cat, id)]).toEqual([true, false])
      expect([await canSee(store, eve, early), await canSee(store, eve, id)]).toEqual([false, false])
      await leaveGroup(store, bob, group)
      expect(await canSee(store, bob, id)).toBe(true)
    })

    test('a file that may not be seen cannot be sent, and one that may be seen can be sent on', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const id = await createReady(store, alice)
      expect(await refusalOf(sendFile(store, eve, directLog(eve, bob), id))).toBe('unknown_media')
      await sendFile(store, alice, directLog(alice, bob), id)
      await sendFile(store, bob, directLog(bob, eve), id)
      expect(await canSee(store, eve, id)).toBe(true)
    })

    test('a recalled message, and one that was deleted for me, shows its file no more', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const [recalled, hidden] = [await createReady(store, alice), await createReady(store, alice)]
      const { seq } = await sendFile(store, alice, log, recalled)
      const second = await sendFile(store, alice, log, hidden)
      await store.run({ name: 'messages.recall', caller: alice, params: { log, seq } })
      await store.run({ name: 'messages.delete', caller: bob, params: { log, seqs: [second.seq] } })
      expect([await canSee(store, bob, recalled), await canSee(store, bob, hidden)]).toEqual([false, false])
      expect([await canSee(store, alice, recalled), await canSee(store, alice, hidden)]).toEqual([true, true])
    })

    test('a withheld message shows its file to nobody but its author', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const id = await createReady(store, alice)
      await sendFile(store, alice, directLog(alice, bob), id, true)
      expect(await canSee(store, bob, id)).toBe(false)
    })

    test('an avatar is for everybody, while it is one', async () => {
      const store = shared()
      const [alice, eve] = await createPeople(store, 'alice', 'eve')
      const id = await createReady(store, alice)
      const setAvatar = (caller: Caller, avatar: string | null) =>
        store.run({ name: 'profile.set', caller, params: { avatar } })
      await setAvatar(alice, id)
      expect(await canSee(store, eve, id)).toBe(true)
      expect(await refusalOf(remove(store, alice, id))).toBe('media_in_use')
      await setAvatar(alice, null)
      expect(await canSee(store, eve, id)).toBe(false)
    })

    test('a file that I was shown becomes nobody’s avatar, and closes with its message', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const [log, id] = [directLog(alice, bob), await createReady(store, alice)]
      const { seq } = await sendFile(store, alice, log, id)
      const group = await createGroup(store, bob, alice)
      const face = { name: 'g', avatar: id }
      for (const call of [
        store.run({ name: 'profile.set', caller: bob, params: { avatar: id } }),
        store.run({ name: 'groups.create', caller: bob, params: face }),
        store.run({ name: 'rooms.create', caller: bob, params: face }),
        store.run({ name: 'groups.update', caller: bob, params: { id: group, avatar: id } }),
      ]) {
        expect(await refusalOf(call)).toBe('unknown_media')
      }
      expect([await canSee(store, bob, id), await canSee(store, eve, id)]).toEqual([true, false])
      await store.run({ name: 'messages.recall', caller: alice, params: { log, seq } })
      expect(await canSee(store, bob, id)).toBe(false)
      expect(await remove(store, alice, id)).toEqual({})
    })

    test('the list has what is mine, in pages, and a deleted file is gone from it and from the quota', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const ids = [
        await createReady(store, alice),
        await createReady(store, alice),
        await createReady(store, alice),
      ]
      const list = (cursor?: string) =>
        store.run({ name: 'media.list', caller: alice, params: { limit: 2, ...(cursor && { cursor }) } })
      const page = await list()
      const rest = await list(page.cursor)
      expect([...page.items, ...rest.items].map(({ id }) => id).sort()).toEqual([...ids].sort())
      expect([page.items.length, rest.cursor]).toEqual([2, undefined])
      await sendFile(store, alice, directLog(alice, bob), ids[0]!)
      expect(await refusalOf(remove(store, alice, ids[0]!))).toBe('media_in_use')
      expect(await remove(store, bob, ids[0]!)).toEqual({})
      await remove(store, alice, ids[1]!)
      expect(await remove(store, alice, ids[1]!)).toEqual({})
      expect(await canSee(store, alice, ids[1]!)).toBe(false)
      expect(await usage(store, alice)).toMatchObject({ bytes: 20, files: 2 })
      expect(await refusalOf(sendFile(store, alice, directLog(alice, bob), ids[1]!))).toBe('unknown_media')
    })

    test('the sweep dooms what nothing shows, and keeps what a message, a profile or a plan does', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const [unused, sent, avatar] = [
        await createReady(store, alice),
        await createReady(store, alice),
        await createReady(store, alice),
      ]
      const log = directLog(alice, bob)
      const { seq } = await sendFile(store, alice, log, sent)
      await store.run({ name: 'profile.set', caller: alice, params: { avatar } })
      expect(await sweep(store, {})).not.toContain(unused)
      expect(await sweep(store, { unusedBefore: FAR })).not.toContain(unused)
      const doomed = await sweep(store, { retiredBefore: FAR })
      expect(doomed).toContain(unused)
      for (const id of [sent, avatar]) expect(doomed).not.toContain(id)
      expect(await canSee(store, alice, unused)).toBe(false)
      expect(await store.perform({ task: 'knownMedia', input: { ids: [unused, sent] } })).toEqual([
        { id: sent, state: 'ready' },
      ])
      await store.run({ name: 'messages.recall', caller: alice, params: { log, seq } })
      await sweep(store, { unusedBefore: FAR })
      expect(await sweep(store, { retiredBefore: FAR })).toContain(sent)
    })

    test('a file that came into use when it was retired already is kept', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const id = await createReady(store, alice)
      await sweep(store, { unusedBefore: FAR })
      expect(await canSee(store, alice, id)).toBe(false)
      await store.run({ name: 'profile.set', caller: alice, params: { avatar: id } })
      expect(await sweep(store, { retiredBefore: FAR })).not.toContain(id)
      expect([await canSee(store, alice, id), await canSee(store, bob, id)]).toEqual([true, true])
    })

    test('an upload that is not finished in time is ended, with its parts', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const { id } = await create(store, alice, 2500)
      await store.perform({ task: 'keepMediaPart', input: { uid: alice.uid, id, part: 3, bytes: 500 } })
      const input = {
        after: { madeAt: 0, id: '' },
        uploadsBefore: FAR,
        unusedBefore: 0,
        retiredBefore: 0,
        limit: 500,
      }
      const { doomed } = await store.perform({ task: 'sweepMedia', input })
      expect(doomed).toContainEqual({ id, parts: [3] })
      const late = store.perform({
        task: 'keepMediaPart',
        input: { uid: alice.uid, id, part: 1, bytes: PART },
      })
      expect(await refusalOf(late)).toBe('unknown_media')
    })
  })
}
