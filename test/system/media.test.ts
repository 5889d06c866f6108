/** Files: uploaded in parts, seen by who may see a message with them, kept in a folder or in S3. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { befriendAll, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { S3Server } from '../harness/s3.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const PART = 64 * 1024
const LINK_TTL_MS = 3000
const BOUNDS = {
  WOCHAT_MEDIA_PART_BYTES: '64KB',
  WOCHAT_MEDIA_BYTES_MAX: '1MB',
  WOCHAT_MEDIA_QUOTA_BYTES: '2MB',
  WOCHAT_MEDIA_PIXELS_MAX: '1000000',
  WOCHAT_MEDIA_LINK_TTL_MS: `${LINK_TTL_MS}ms`,
}

type Upload = { id: string; partBytes: number; parts: number[]; uploadUrl: string }
type View = { id: string; state: string; type: string; width?: number; height?: number; thumbnail: boolean }

/** What a test does with files on one server. */
function filesOf(server: TestServer) {
  const as = (uid: string) => server.token(uid, null)
  const bearer = (uid: string) => ({ authorization: `Bearer ${as(uid)}` })
  const create = (uid: string, bytes: Buffer, more: object = {}) =>
    server.http<Upload>(
      'media.create',
      { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), ...more },
      as(uid),
    )
  const put = (uid: string, id: string, part: number, bytes: Buffer) =>
    fetch(`${server.httpUrl}/v1/media/${id}/parts/${part}`, {
      method: 'PUT',
      headers: bearer(uid),
      body: new Uint8Array(bytes),
    })
  const pieceOf = (bytes: Buffer, part: number) => bytes.subarray((part - 1) * PART, part * PART)
  const complete = (uid: string, id: string) => server.http<View>('media.complete', { id }, as(uid))
  return {
    as,
    create,
    put,
    pieceOf,
    complete,
    get: (uid: string, id: string, headers: Record<string, string> = {}, query = '') =>
      fetch(`${server.httpUrl}/v1/media/${id}${query}`, { headers: { ...bearer(uid), ...headers } }),
    async upload(uid: string, bytes: Buffer, more: object = {}): Promise<View> {
      const { id, parts } = await create(uid, bytes, more)
      for (const part of parts) expect((await put(uid, id, part, pieceOf(bytes, part))).status).toBe(200)
      return complete(uid, id)
    },
    send: (uid: string, to: string, id: string) =>
      server.http<{ log: string; seq: number }>(
        'messages.send',
        { id: randomBytes(6).toString('hex'), to, type: 'image', body: { media: id } },
        as(uid),
      ),
  }
}

const codeOf = async (answer: Response): Promise<string> =>
  ((await answer.json()) as { error?: { code: string } }).error?.code ?? 'ok'
const bytesOf = async (answer: Response): Promise<Buffer> => Buffer.from(await answer.arrayBuffer())
const image = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: { r: 200, g: 30, b: 30 } } })

/** What holds wherever files are kept. */
function keepsFiles(server: TestServer): void {
  test('an upload whose connection was cut goes on where it was, and the file is for those who see the message', async () => {
    const files = filesOf(server)
    const { alice, bob } = await newFriends(server)
    const bytes = randomBytes(2 * PART + 1000)
    const { id } = await files.create(alice, bytes, { name: '夏 "1".bin' })
    expect((await files.put(alice, id, 1, files.pieceOf(bytes, 1))).status).toBe(200)
    await cutUpload(server, alice, id, 2, PART)
    const again = await files.create(alice, bytes)
    expect(again).toMatchObject({ id, partBytes: PART, parts: [2, 3] })
    const both = await Promise.all(
      [2, 2, 3].map((part) => files.put(alice, id, part, files.pieceOf(bytes, part))),
    )
    expect(both.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(await files.complete(alice, id)).toMatchObject({
      state: 'ready',
      type: 'application/octet-stream',
    })

    expect(await codeOf(await files.get(bob, id))).toBe('unknown_media')
    const { log, seq } = await files.send(alice, bob, id)
    const answer = await files.get(bob, id)
    expect((await bytesOf(answer)).equals(bytes)).toBe(true)
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-length': String(bytes.length),
      'content-disposition': `attachment; filename="_ _1_.bin"; filename*=UTF-8''%E5%A4%8F%20%221%22.bin`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cache-control': 'private, max-age=600',
    })
    await server.http('messages.recall', { log, seq }, files.as(alice))
    expect(await codeOf(await files.get(bob, id))).toBe('unknown_media')
  })

  test('a range is served as asked, and one outside of the file is refused', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const bytes = randomBytes(PART + 500)
    const { id } = await files.upload(alice, bytes)
    const part = await files.get(alice, id, { range: `bytes=${PART - 2}-${PART + 2}` })
    expect([part.status, part.headers.get('content-range')]).toEqual([
      206,
      `bytes ${PART - 2}-${PART + 2}/${bytes.length}`,
    ])
    expect((await bytesOf(part)).equals(bytes.subarray(PART - 2, PART + 3))).toBe(true)
    const outside = await files.get(alice, id, { range: `bytes=${bytes.length}-` })
    expect([outside.status, await codeOf(outside)]).toEqual([416, 'bad_range'])
    const etag = part.headers.get('etag')!
    expect((await files.get(alice, id, { 'if-none-match': etag })).status).toBe(304)
    expect((await files.get(alice, id, { range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200)
  })

  test('a photo gets a small picture, upright and without what the camera noted', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const photo = await image(800, 400).jpeg().withMetadata({ orientation: 6 }).toBuffer()
    const view = await files.upload(alice, photo, { type: 'image/png' })
    expect(view).toMatchObject({ type: 'image/jpeg', width: 400, height: 800, thumbnail: true })
    const answer = await files.get(alice, view.id, {}, '?thumbnail=1')
    expect(answer.headers.get('content-type')).toBe('image/webp')
    const small = await sharp(await bytesOf(answer)).metadata()
    expect([small.width, small.height, small.exif]).toEqual([160, 320, undefined])
    const whole = await files.get(alice, view.id)
    expect(whole.headers.get('content-disposition')).toBe('inline')
    expect((await bytesOf(whole)).equals(photo)).toBe(true)
  })

  test('bytes of another digest are refused, and asked for again', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const bytes = randomBytes(1000)
    const { id } = await files.create(alice, bytes)
    await files.put(alice, id, 1, randomBytes(1000))
    await expect(files.complete(alice, id)).rejects.toMatchObject({ code: 'media_mismatch', status: 409 })
    expect(await codeOf(await files.get(alice, id))).toBe('unknown_media')
    await expect(files.complete(alice, id)).rejects.toMatchObject({
      code: 'media_incomplete',
      details: { parts: [1] },
    })
    await files.put(alice, id, 1, bytes)
    expect((await files.complete(alice, id)).state).toBe('ready')
  })
}

/** Sends the head of a part and half of its body, and cuts the connection. */
async function cutUpload(
  server: TestServer,
  uid: string,
  id: string,
  part: number,
  bytes: number,
): Promise<void> {
  const socket = connect(server.httpPort, '127.0.0.1')
  const lines = [
    `PUT /v1/media/${id}/parts/${part} HTTP/1.1`,
    'host: wochat',
    `authorization: Bearer ${server.token(uid, null)}`,
    `content-length: ${bytes}`,
  ]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  await new Promise<void>((resolve) => socket.write(Buffer.alloc(bytes / 2), () => resolve()))
  socket.destroy()
}

describe('in a folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-files-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const server = sharedServer({ env: { ...BOUNDS, WOCHAT_MEDIA_DIR: folder } })
  keepsFiles(server)

  test('a part of a wrong size, a foreign part and a part that is none are refused', async () => {
    const files = filesOf(server)
    const { alice, bob } = await newFriends(server)
    const bytes = randomBytes(PART + 10)
    const { id } = await files.create(alice, bytes)
    const codes = await Promise.all(
      [
        files.put(alice, id, 1, bytes.subarray(1, PART)),
        files.put(alice, id, 2, bytes.subarray(0, 11)),
        files.put(alice, id, 3, bytes.subarray(0, 10)),
        files.put(alice, id, 0, bytes.subarray(0, 10)),
        files.put(bob, id, 2, bytes.subarray(0, 10)),
        files.put(alice, 'f'.repeat(32), 1, bytes.subarray(0, 10)),
      ].map(async (answer) => codeOf(await answer)),
    )
    const [bad, unknown] = ['bad_request', 'unknown_media']
    expect(codes).toEqual([bad, bad, bad, bad, unknown, unknown])
    expect(await files.create(alice, bytes)).toMatchObject({ id, parts: [1, 2] })
    await expect(files.complete(bob, id)).rejects.toMatchObject({ code: 'unknown_media' })
  })

  test('a member sees what was sent while they were one; a stranger and a later member see nothing of it', async () => {
    const files = filesOf(server)
    const [owner, ann, ben, eve] = ['owner', 'ann', 'ben', 'eve'].map(newUid)
    await befriendAll(server, owner!, [ann!, ben!, eve!])
    const group = await makeGroup(server, owner!, [ann!, ben!])
    const first = await files.upload(owner!, randomBytes(100))
    await files.send(owner!, group, first.id)
    await server.http('groups.remove', { id: group, members: [ben] }, files.as(owner!))
    await server.http('groups.add', { id: group, members: [eve] }, files.as(owner!))
    const second = await files.upload(owner!, randomBytes(100))
    await files.send(owner!, group, second.id)
    const seenBy = async (uid: string) => [
      (await files.get(uid, first.id)).status,
      (await files.get(uid, second.id)).status,
    ]
    expect(await seenBy(ann!)).toEqual([200, 200])
    expect(await seenBy(ben!)).toEqual([200, 404])
    expect(await seenBy(eve!)).toEqual([404, 200])
    expect(await seenBy(newUid('stranger'))).toEqual([404, 404])
  })

  test('a link needs no token, is for one file and ends', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const bytes = await image(10, 10).png().toBuffer()
    const { id } = await files.upload(alice, bytes)
    using device = await Device.connect(server, alice, 'phone')
    const reply = await device.call('media.link', { id }, 'l1')
    const { url, expiresAt } = reply.result as { url: string; expiresAt: number }
    const path = url.slice(url.indexOf('/v1/'))
    const follow = (to: string) => fetch(server.httpUrl + to)
    expect((await bytesOf(await follow(path))).equals(bytes)).toBe(true)
    expect((await follow(`${path}&thumbnail=1`)).headers.get('content-type')).toBe('image/webp')
    const other = await files.upload(alice, randomBytes(10))
    for (const wrong of [
      path.replace(id, other.id),
      path.replace(/expires=\d/, 'expires=9'),
      `/v1/media/${id}`,
    ])
      expect((await follow(wrong)).status, wrong).toBe(401)
    await until(
      async () => Date.now() > expiresAt && (await follow(path)).status === 401,
      'the end of the link',
    )
  })

  test('what could run in a page is only for saving, and nobody passes it off as a picture', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const page = Buffer.from('<!doctype html><script>alert(1)</script>')
    const view = await files.upload(alice, page, { type: 'text/html', name: 'a.html' })
    const answer = await files.get(alice, view.id)
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment; filename="a.html"/)
    expect(answer.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
    const lie = Buffer.from('<svg onload="alert(1)">')
    await expect(files.upload(alice, lie, { type: 'image/png' })).rejects.toMatchObject({
      code: 'media_refused',
    })
  })

  test('an image of too many pixels is refused before it is decoded', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const bomb = await image(20_000, 1000).png().toBuffer()
    const { id, parts } = await files.create(alice, bomb)
    for (const part of parts) await files.put(alice, id, part, files.pieceOf(bomb, part))
    await expect(files.complete(alice, id)).rejects.toMatchObject({ code: 'media_refused', status: 422 })
    await expect(server.http('media.get', { id }, files.as(alice))).rejects.toMatchObject({
      code: 'unknown_media',
    })
  })

  test('an account has a quota, which a deleted file gives back', async () => {
    const files = filesOf(server)
    const alice = newUid('alice')
    const { id } = await files.upload(alice, randomBytes(1024 * 1024))
    await files.create(alice, randomBytes(1024 * 1024))
    const more = randomBytes(10)
    await expect(files.create(alice, more)).rejects.toMatchObject({ code: 'media_quota' })
    await expect(files.create(alice, randomBytes(1024 * 1024 + 1))).rejects.toMatchObject({
      code: 'too_large',
    })
    await server.http('media.delete', { id }, files.as(alice))
    await files.create(alice, more)
    using device = await Device.connect(server, alice, 'phone')
    const { result } = await device.call('media.usage', {}, 'u1')
    expect(result).toMatchObject({ bytes: 1024 * 1024 + 10, files: 2, quotaBytes: 2 * 1024 * 1024 })
  })
})

describe('in S3', () => {
  const env: Record<string, string> = { ...BOUNDS }
  let s3: S3Server
  beforeAll(async () => {
    s3 = await S3Server.start()
    Object.assign(env, s3.env)
  })
  afterAll(() => s3[Symbol.asyncDispose]())
  const server = sharedServer({ env })
  keepsFiles(server)

  test('while the bucket is away uploads wait and messages go; then the upload goes on', async () => {
    const files = filesOf(server)
    const { alice, bob } = await newFriends(server)
    const bytes = randomBytes(1000)
    const { id } = await files.create(alice, bytes)
    await s3.takeDiskAway()
    const refused = await files.put(alice, id, 1, bytes)
    const words = { id: 'words', to: bob, type: 'text', body: { text: 'hi' } }
    const sent = await server.http<{ seq: number }>('messages.send', words, files.as(alice))
    await s3.bringDiskBack()
    expect([refused.status, await codeOf(refused), sent.seq]).toEqual([503, 'store_away', 1])
    expect((await files.put(alice, id, 1, bytes)).status).toBe(200)
    expect((await files.complete(alice, id)).state).toBe('ready')
  })

  test('with a wrong secret the server starts and says so, and takes no file', async () => {
    const secret = 'not-the-secret'
    const settings = { ...env, WOCHAT_MEDIA_S3_SECRET_KEY: secret }
    await using other = await startServer({ env: settings, alone: true })
    const files = filesOf(other)
    const alice = newUid('alice')
    const bytes = randomBytes(1000)
    const { id } = await files.create(alice, bytes)
    expect(await codeOf(await files.put(alice, id, 1, bytes))).toBe('internal')
    const log = other.nodes[0]!.log.text
    const told = log.split('\n').find((line) => line.includes('files cannot be kept in the bucket now'))
    expect(told).toMatch(/signature .* does not match/)
    expect(log).not.toContain(secret)
  })
})
