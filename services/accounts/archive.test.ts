/** The archive of an account over a real store and a folder of files. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildDirectLog, type DeviceId, type UserId } from '../../protocol/ids.ts'
import { openStore } from '../api/testing/api.ts'
import { createFolderStorage } from '../media/folder-storage.ts'
import { createImaging } from '../media/images.ts'
import { createMediaService, type MediaService } from '../media/media-service.ts'
import { sendAndWait } from '../messages/awaited-send.ts'
import type { Store } from '../store/contract.ts'
import { createArchives } from './archive.ts'

const PART = 1024 * 1024
const alice = { uid: 'alice' as UserId, device: 'phone' as DeviceId }
const bob = { uid: 'bob' as UserId, device: 'phone' as DeviceId }
const eve = { uid: 'eve' as UserId, device: 'phone' as DeviceId }
const log = buildDirectLog(alice.uid, bob.uid)

let dir: string
let store: Store
let media: MediaService

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'wochat-archive-'))
  store = await openStore(dir)
  const storage = createFolderStorage({ folder: join(dir, 'files'), diskReserveBytes: 0 })
  await storage.check()
  media = createMediaService({ store, storage, imaging: createImaging({ pixelsMax: 1000 }) })
  for (const who of [alice, bob, eve]) await store.checkLogin({ ...who, sid: null, issuedAt: Date.now() })
  await store.run({ name: 'contacts.request', caller: alice, params: { uid: bob.uid } })
  await store.run({ name: 'contacts.accept', caller: bob, params: { uid: alice.uid } })
})
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

async function upload(bytes: Buffer): Promise<string> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const params = { bytes: bytes.length, sha256 }
  const { id } = await store.run({ name: 'media.create', caller: alice, params })
  for (let part = 1; (part - 1) * PART < bytes.length; part++) {
    const piece = bytes.subarray((part - 1) * PART, part * PART)
    await media.putPart({ uid: alice.uid, id, part, bytes: piece.length, body: Readable.from([piece]) })
  }
  return (await media.complete(alice.uid, id)).id
}

const placeOf = (id: string) => join(dir, 'files', 'files', id.slice(-2), id)

/** The archive as the system's own tar unpacks it. */
async function unpack(): Promise<{
  files: string[]
  read: (name: string) => Buffer
  items: (part: string) => unknown[]
}> {
  const folder = mkdtempSync(join(dir, 'unpacked-'))
  execFileSync('tar', ['-xz'], {
    cwd: folder,
    input: await buffer(createArchives({ store, media }).of(alice.uid)),
  })
  const read = (name: string) => readFileSync(join(folder, name))
  return {
    files: readdirSync(folder, { recursive: true }).map(String),
    read,
    items: (part) =>
      existsSync(join(folder, `${part}-00001.jsonl`))
        ? read(`${part}-00001.jsonl`)
            .toString()
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as unknown)
        : [],
  }
}

test('everything that a person did is in it: reactions, pins, planned messages, groups, blocks', async () => {
  const send = (caller: typeof alice, text: string) =>
    sendAndWait(store, caller, {
      id: null,
      target: { log, peer: null },
      type: 'text',
      bodyJson: JSON.stringify({ text }),
      marks: null,
    })
  await send(alice, 'mine')
  await send(bob, 'yours')
  for (const [caller, emoji] of [
    [alice, '👍'],
    [alice, '🎉'],
    [bob, '👍'],
  ] as const) {
    await store.run({ name: 'messages.react', caller, params: { log, seq: 2, emoji } })
  }
  await store.run({ name: 'messages.pin', caller: alice, params: { log, seq: 2 } })
  await store.run({ name: 'messages.pin', caller: bob, params: { log, seq: 1 } })
  const { id: group } = await store.run({
    name: 'groups.create',
    caller: alice,
    params: { name: 'ours', members: [bob.uid] },
  })
  await store.run({ name: 'contacts.block', caller: alice, params: { uid: eve.uid } })
  const planned = {
    caller: alice,
    id: 'later',
    log,
    type: 'text',
    bodyJson: '{"text":"later"}',
    withheld: false,
  }
  await store.perform({ task: 'scheduleSend', input: { ...planned, at: Date.now() + 3_600_000 } })

  const { items } = await unpack()
  expect(items('messages')).toMatchObject([{ log, seq: 1, body: { text: 'mine' } }])
  expect(items('reactions')).toMatchObject([
    { log, seq: 2, emoji: '🎉' },
    { log, seq: 2, emoji: '👍' },
  ])
  expect(items('pins')).toMatchObject([{ log, seq: 2 }])
  expect(items('scheduled')).toMatchObject([{ id: 'later', body: { text: 'later' } }])
  expect(items('groups')).toMatchObject([{ id: group, name: 'ours', role: 'owner' }])
  expect(items('contacts')).toMatchObject([
    { uid: bob.uid, state: 'friend' },
    { uid: eve.uid, blocked: true },
  ])
})

test('it has the bytes of every file; one that cannot be read is named, and the rest is whole', async () => {
  const contents = [
    randomBytes(2 * PART + 77),
    randomBytes(512),
    randomBytes(300_000),
    Buffer.from('the last'),
  ]
  const [whole, lost, cut, last] = (await Promise.all(contents.map(upload))) as [
    string,
    string,
    string,
    string,
  ]
  rmSync(placeOf(lost))
  // In its place is nothing that can be read as a file.
  mkdirSync(placeOf(lost))
  truncateSync(placeOf(cut), 100_000)

  const { files, read, items } = await unpack()
  expect(items('media')).toHaveLength(4)
  expect(read(`media/${whole}`).equals(contents[0]!)).toBe(true)
  expect(read(`media/${last}`).toString()).toBe('the last')
  expect(read(`media/${cut}`).subarray(0, 100_000).equals(contents[2]!.subarray(0, 100_000))).toBe(true)
  expect(read(`media/${cut}`)).toHaveLength(300_000)
  const errors = items('media-errors') as { id: string }[]
  expect(errors.map(({ id }) => id).sort()).toEqual([lost, cut].sort())
  expect(errors.find(({ id }) => id === cut)).toEqual({ id: cut, error: 'cut' })
  rmSync(placeOf(lost), { recursive: true })
  const again = await unpack()
  expect(again.items('media-errors')).toContainEqual({ id: lost, error: 'missing' })
  expect(again.files).not.toContain(`media/${lost}`)
  expect(files).toContain(`media/${last}`)
})
