/** Storage, service and sweep together, over a real store, a folder and an S3-compatible server. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { WochatError } from '../../protocol/errors.ts'
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import { startS3 } from '../../test/harness/s3.ts'
import { openStore } from '../api/testing/api.ts'
import type { Store } from '../store/contract.ts'
import { createSizeGuard, feed } from './bytes.ts'
import { createFolderStorage } from './folder-storage.ts'
import { createImaging } from './images.ts'
import { createMediaService, type MediaService } from './media-service.ts'
import { createMediaSweep } from './media-sweep.ts'
import { createS3Storage } from './s3-storage.ts'
import { type MediaStorage, MissingObjectError, partName } from './storage.ts'

const DAY = 24 * 60 * 60 * 1000
const MB = 1024 * 1024
const EXPIRY = DAY
const GRACE = 7 * DAY

let dir: string
let store: Store
const ends: AsyncDisposable[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wochat-media-'))
  store = await openStore(dir)
  ends.push(store)
})
afterAll(async () => {
  for (const end of ends) await end[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

async function openFolder(): Promise<MediaStorage> {
  return createFolderStorage({ folder: await mkdtemp(join(dir, 'files-')), diskReserveBytes: 0 })
}

async function openS3(): Promise<MediaStorage> {
  const s3 = await startS3()
  ends.push(s3)
  const { endpoint, bucket, accessKey, secretKey } = s3
  return createS3Storage({
    endpoint,
    bucket,
    accessKey,
    secretKey,
    region: 'us-east-1',
    prefix: 'm',
    pathStyle: true,
  })
}

async function namesIn(storage: MediaStorage): Promise<string[]> {
  const names: string[] = []
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<MediaStorage['list']>> = await storage.list(after)
    names.push(...page.objects.map(({ name }) => name))
    after = page.after
  } while (after !== null)
  return names.sort()
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: WochatError) => error.code,
  )

describe.each([
  ['a folder', openFolder, 110],
  ['S3', openS3, 2],
] as const)('files in %s', (_, openStorage, turnsOfAll) => {
  let storage: MediaStorage
  let service: MediaService
  const alice = { uid: `alice.${randomBytes(4).toString('hex')}` as UserId, device: 'phone' as DeviceId }
  beforeAll(async () => {
    storage = await openStorage()
    await storage.check()
    service = createMediaService({ store, storage, imaging: createImaging({ pixelsMax: 1000 }) })
    await store.checkLogin({ ...alice, sid: null, issuedAt: Date.now() })
  })
  afterAll(() => storage[Symbol.asyncDispose]())

  async function begin(bytes: Buffer): Promise<string> {
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const params = { bytes: bytes.length, sha256 }
    return (await store.run({ name: 'media.create', caller: alice, params })).id
  }
  const put = (id: string, part: number, bytes: Buffer) =>
    service.putPart({ uid: alice.uid, id, part, bytes: bytes.length, body: Readable.from([bytes]) })
  const upload = async (bytes: Buffer): Promise<string> => {
    const id = await begin(bytes)
    for (let part = 1; (part - 1) * MB < bytes.length; part++)
      await put(id, part, bytes.subarray((part - 1) * MB, part * MB))
    return id
  }
  /** Turns of a sweep as it would be taken at that time, until all of storage was seen. */
  async function sweepAt(at: number): Promise<void> {
    const settings = { uploadExpiryMs: EXPIRY, graceMs: GRACE }
    const sweep = createMediaSweep({ store, storage, settings, log: { info() {} }, now: () => at })
    for (let turn = 0; turn < turnsOfAll; turn++) await sweep.turn()
  }

  test('are one of their parts, of which nothing stays', async () => {
    const bytes = randomBytes(2 * MB + 77)
    const id = await upload(bytes)
    const [view, again] = await Promise.all([
      service.complete(alice.uid, id),
      service.complete(alice.uid, id),
    ])
    expect(view).toMatchObject({ state: 'ready', bytes: bytes.length })
    expect(again).toEqual(view)
    expect((await buffer(await service.read(id))).equals(bytes)).toBe(true)
    expect(
      (await buffer(await service.read(id, { start: MB - 2, end: MB + 1 }))).equals(
        bytes.subarray(MB - 2, MB + 2),
      ),
    ).toBe(true)
    expect((await namesIn(storage)).filter((name) => name.includes(id))).toEqual([`files/${id}`])
  })

  test('a wrong file is never there, and its parts are asked for again', async () => {
    const id = await begin(randomBytes(2000))
    await put(id, 1, randomBytes(2000))
    expect(await codeOf(service.complete(alice.uid, id))).toBe('media_mismatch')
    expect((await namesIn(storage)).filter((name) => name.includes(id))).toEqual([partName(id, 1)])
    expect(await codeOf(service.complete(alice.uid, id))).toBe('media_incomplete')
  })

  test('a part whose body breaks off is refused, and can be sent again', async () => {
    const bytes = randomBytes(300_000)
    const id = await begin(bytes)
    const half = Readable.from([bytes.subarray(0, 1000)])
    const broken = service.putPart({ uid: alice.uid, id, part: 1, bytes: bytes.length, body: half })
    expect(await codeOf(broken)).toBe('bad_request')
    expect(await codeOf(service.complete(alice.uid, id))).toBe('media_incomplete')
    await put(id, 1, bytes)
    expect((await service.complete(alice.uid, id)).state).toBe('ready')
  })

  test('a part that storage lost is asked for again', async () => {
    const id = await upload(randomBytes(500))
    await storage.remove(partName(id, 1))
    expect(await codeOf(service.complete(alice.uid, id))).toBe('media_incomplete')
    await expect(storage.read(partName(id, 1))).rejects.toThrow(MissingObjectError)
  })

  test('the sweep removes what nothing refers to, old uploads, and what a crash left without a row', async () => {
    const kept = await upload(randomBytes(100))
    await service.complete(alice.uid, kept)
    await store.run({ name: 'profile.set', caller: alice, params: { avatar: kept } })
    const unused = await upload(randomBytes(100))
    await service.complete(alice.uid, unused)
    const unfinished = await upload(randomBytes(100))
    const unknown = randomBytes(16).toString('hex')
    await storage.write(partName(unknown, 3), 2, Readable.from([Buffer.from('hi')]))
    await storage.write(partName(kept, 1), 2, Readable.from([Buffer.from('hi')]))
    const all = await namesIn(storage)
    await sweepAt(Date.now())
    expect(await namesIn(storage)).toEqual(all)

    await sweepAt(Date.now() + GRACE + DAY)
    await sweepAt(Date.now() + 2 * (GRACE + DAY))
    expect(await namesIn(storage)).toEqual([`files/${kept}`])
    for (const id of [unused, unfinished])
      expect(await codeOf(store.run({ name: 'media.get', caller: alice, params: { id } }))).toBe(
        'unknown_media',
      )
  })
})

test('in a folder, a part that is sent again and breaks off leaves the one before', async () => {
  const storage = await openFolder()
  const name = partName('b'.repeat(32), 1)
  await storage.write(name, 3, Readable.from([Buffer.from('one')]))
  const guard = createSizeGuard(3)
  feed(Readable.from([Buffer.from('tw')]), guard)
  expect(await codeOf(storage.write(name, 3, guard))).toBe('bad_request')
  expect(String(await buffer(await storage.read(name)))).toBe('one')
  expect(await namesIn(storage)).toEqual([name])
})

test('a disk that is almost full takes no file, and has nothing of it', async () => {
  const folder = await mkdtemp(join(dir, 'full-'))
  const storage = createFolderStorage({ folder, diskReserveBytes: Number.MAX_SAFE_INTEGER })
  const written = storage.write(partName('a'.repeat(32), 1), 2, Readable.from([Buffer.from('hi')]))
  expect(await codeOf(written)).toBe('store_full')
  expect(await readdir(join(folder, 'unfinished'))).toEqual([])
})
