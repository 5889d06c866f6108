/** Storage, service and sweep together, over a real store, a folder and an S3-compatible server. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { WochatError } from '../../protocol/errors.ts'
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import { type S3Access, S3Server } from '../../test/harness/s3.ts'
import { TcpProxy } from '../../test/harness/tcp-proxy.ts'
import { openStore } from '../api/testing/api.ts'
import type { Store } from '../store/contract.ts'
import { createSizeGuard, feed } from './bytes.ts'
import { createFolderStorage } from './folder-storage.ts'
import { createImaging } from './images.ts'
import { createMediaService, type MediaService } from './media-service.ts'
import { createMediaSweep } from './media-sweep.ts'
import { createS3Storage } from './s3-storage.ts'
import { fileName, type MediaStorage, MissingObjectError, partName } from './storage.ts'

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

/** One for all; who opens storage in it has a prefix of its own. */
let s3: Promise<S3Server> | undefined
function sharedS3(): Promise<S3Server> {
  s3 ??= S3Server.start().then((server) => {
    ends.push(server)
    return server
  })
  return s3
}

async function openS3(changes: Partial<S3Access> = {}, warn = (_: object) => {}): Promise<MediaStorage> {
  const { access } = await sharedS3()
  const storage = createS3Storage({ ...access, prefix: randomBytes(4).toString('hex'), ...changes }, { warn })
  ends.unshift(storage)
  return storage
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
  ['S3', () => openS3(), 2],
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

  test('a part whose sender is gone before it is looked at is refused', async () => {
    const id = await begin(randomBytes(10))
    const gone = new Readable({ read() {} }).destroy()
    await once(gone, 'close')
    const lost = service.putPart({ uid: alice.uid, id, part: 1, bytes: 10, body: gone })
    expect(await codeOf(lost)).toBe('bad_request')
  })

  test('a part that is sent again and breaks off leaves the one before', async () => {
    const name = partName(randomBytes(16).toString('hex'), 1)
    await storage.write(name, 3, Readable.from([Buffer.from('one')]))
    const guard = createSizeGuard(3)
    feed(Readable.from([Buffer.from('tw')]), guard)
    expect(await codeOf(storage.write(name, 3, guard))).toBe('bad_request')
    expect(String(await buffer(await storage.read(name)))).toBe('one')
    await storage.remove(name)
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

test('a disk that is almost full takes no file, and has nothing of it', async () => {
  const folder = await mkdtemp(join(dir, 'full-'))
  const storage = createFolderStorage({ folder, diskReserveBytes: Number.MAX_SAFE_INTEGER })
  const written = storage.write(partName('a'.repeat(32), 1), 2, Readable.from([Buffer.from('hi')]))
  expect(await codeOf(written)).toBe('store_full')
  expect(await readdir(join(folder, 'unfinished'))).toEqual([])
})

describe('S3', () => {
  const NAME = fileName('c'.repeat(32))
  const oneByte = () => Readable.from([Buffer.from('x')])

  test.each([
    ['a wrong secret', { secretKey: 'wrong' }, /signature .* does not match/],
    ['an unknown key', { accessKey: 'chat:nobody' }, /signature .* does not match/],
    ['a wrong region', { region: 'us-east-1' }, /region 'us-east-1' is wrong; expecting 'eu-test-1'/],
    ['a bucket that is not there', { bucket: 'nothing' }, /bucket does not exist/],
  ])('%s is refused, and the operator is told which of the settings is wrong', async (_, wrong, words) => {
    const storage = await openS3(wrong)
    await expect(storage.check()).rejects.toThrow(words)
    await expect(storage.write(NAME, 1, oneByte())).rejects.toThrow(words)
  })

  test('bytes of another digest than declared are refused, and nothing of them is kept', async () => {
    const storage = await openS3()
    const digest = createHash('sha256').update('x').digest('hex')
    const wrong = storage.write(NAME, 1, Readable.from([Buffer.from('y')]), digest)
    await expect(wrong).rejects.toThrow(/answers 400 \w*(Digest|Mismatch)/)
    expect(await namesIn(storage)).toEqual([])
    await storage.write(NAME, 1, oneByte(), digest)
    expect(await namesIn(storage)).toEqual([NAME])
  })

  test('while it is away everything is refused for the time being, and its operator hears of it once', async () => {
    const warnings: object[] = []
    const storage = await openS3({}, (warning) => warnings.push(warning))
    await storage.write(NAME, 1, oneByte())
    const server = await sharedS3()
    await server.takeDiskAway()
    const refused = [storage.write(NAME, 1, oneByte()), storage.read(NAME), storage.list(null)]
    const codes = await Promise.all(refused.map(codeOf))
    await server.bringDiskBack()
    expect(codes).toEqual(['store_away', 'store_away', 'store_away'])
    expect(warnings).toHaveLength(1)
    expect(await namesIn(storage)).toEqual([NAME])
  })

  test('a connection that is cut gives no part of a file for the whole, and the next is as before', async () => {
    const { port } = await sharedS3()
    await using wire = await TcpProxy.start(port)
    const storage = await openS3({ endpoint: `http://127.0.0.1:${wire.port}` })
    // More than what is on its way in sockets.
    const bytes = Buffer.alloc(24 * MB)
    await storage.write(NAME, bytes.length, Readable.from([bytes]))
    const body = await storage.read(NAME)
    wire.cut()
    await expect(buffer(body)).rejects.toThrow()
    expect(await codeOf(storage.read(NAME))).toBe('store_away')
    wire.heal()
    expect((await buffer(await storage.read(NAME))).length).toBe(bytes.length)
  })

  test('many who read slowly keep nobody from reading', async () => {
    const storage = await openS3()
    await storage.write(NAME, 1, oneByte())
    const slow = await Promise.all(Array.from({ length: 60 }, () => storage.read(NAME)))
    expect((await buffer(await storage.read(NAME))).length).toBe(1)
    for (const body of slow) body.destroy()
  })
})
