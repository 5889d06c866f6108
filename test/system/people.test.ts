/** Profiles, settings, searches, and the ends of accounts, as an app meets them. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import type { HttpRefusal } from '../harness/http.ts'
import { befriend, directLog, logIn, makeAccounts, newFriends, newPhone, newUid } from '../harness/people.ts'
import { IN_CLUSTER, sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Items<Item> = { items: Item[]; version: number; more: boolean }

const as = (uid: string) => server.token(uid, null)
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error: HttpRefusal) => error.code,
  )

/** Somebody with a phone number and a friend. */
async function newLogin(deviceId = 'phone') {
  const phone = newPhone()
  const uid = newUid('ann')
  const login = await logIn(server, { phone, uid, deviceId })
  const friend = newUid('ben')
  await befriend(server, uid, friend)
  return { ...login, phone, friend }
}

describe('a person', () => {
  test('sets a profile over MQTT, and a friend learns of it by what changed on their list', async () => {
    const { alice, bob } = await newFriends(server)
    const { version } = await server.http<Items<unknown>>('contacts.list', {}, as(bob))
    using phone = await Device.connect(server, alice, 'phone')
    using tablet = await Device.connect(server, alice, 'tablet')
    const reply = await phone.call('profile.set', { name: 'Alice', attributes: { city: 'Kyoto' } }, 'r1')
    expect(reply.result).toMatchObject({ uid: alice, name: 'Alice', state: 'active' })
    await until(() => tablet.inbox.find(({ type }) => type === 'profile'), 'the notice of the profile')
    const changes = await server.http<Items<object>>('contacts.changes', { since: version }, as(bob))
    expect(changes.items).toMatchObject([{ uid: alice, state: 'friend', profile: { name: 'Alice' } }])
  })

  test('is found by phone as they let it, and a search tells nobody the number', async () => {
    const { uid, phone } = await newLogin()
    const seeker = newUid('eve')
    await makeAccounts(server, seeker)
    const search = () => server.http<{ items: object[] }>('accounts.search', { query: phone }, as(seeker))
    const found = await search()
    expect(found.items).toMatchObject([{ uid }])
    expect(JSON.stringify(found)).not.toContain(phone)
    await server.http('settings.set', { findByPhone: false }, as(uid))
    expect((await search()).items).toEqual([])
  })

  test('cannot make the searches of a directory: they are limited, and the refusal says for how long', async () => {
    const seeker = newUid('eve')
    const search = () => server.http('accounts.search', { query: newPhone() }, as(seeker))
    const refusal = await (async () => {
      for (let i = 0; i < 100; i++) {
        try {
          await search()
        } catch (error) {
          return error as HttpRefusal
        }
      }
      return null
    })()
    expect(refusal).toMatchObject({ code: 'rate_limited', retryAfterMs: expect.any(Number) })
  })

  test('who is refused waits for the end of the cool-down before asking again', async () => {
    const [asker, asked] = [newUid('ann'), newUid('ben')]
    await makeAccounts(server, asker, asked)
    await server.http('contacts.request', { uid: asked, text: 'hello' }, as(asker))
    await server.http('contacts.refuse', { uid: asker }, as(asked))
    await expect(server.http('contacts.request', { uid: asked }, as(asker))).rejects.toMatchObject({
      code: 'request_refused',
      retryAfterMs: expect.any(Number),
    })
  })
})

describe('an account that rests', () => {
  test('is cut off at once, takes no messages, and is back with the next login of its phone', async () => {
    const { uid, phone, friend, accessToken, refreshToken } = await newLogin()
    using device = await Device.connect(server, uid, 'phone', { token: accessToken })
    await server.http('accounts.deactivate', {}, accessToken)
    await until(() => device.client.closed, 'the end of the connection')
    expect(await codeOf(server.http('contacts.list', {}, accessToken))).toBe('revoked')
    expect(await codeOf(server.http('auth.refresh', { refreshToken }))).toBe('bad_refresh')
    const send = () =>
      codeOf(server.http('messages.send', { to: uid, type: 'text', body: { text: 'hi' } }, as(friend)))
    expect(await send()).toBe('account_inactive')
    const again = await logIn(server, { phone, deviceId: 'phone' })
    expect(again.uid).toBe(uid)
    expect(await send()).toBe('ok')
  })
})

describe('an account that is erased', () => {
  test('is gone at once for its devices, and soon its words for everybody', async () => {
    const { uid, phone, friend, accessToken, refreshToken } = await newLogin()
    const log = directLog(uid, friend)
    using device = await Device.connect(server, uid, 'phone', { token: accessToken })
    await device.send({ id: 'm1', to: friend, text: 'my words' })
    await server.http('messages.send', { to: uid, type: 'text', body: { text: 'yours' } }, as(friend))
    expect((await device.call('accounts.erase', { confirm: friend }, 'r1')).code).toBe('bad_request')
    await server.http('accounts.erase', { confirm: uid }, accessToken)

    await until(() => device.client.closed, 'the end of the connection')
    expect(await codeOf(server.http('contacts.list', {}, accessToken))).toBe('revoked')
    expect(await codeOf(server.http('auth.refresh', { refreshToken }))).toBe('bad_refresh')
    await expect(Device.connect(server, uid, 'phone', { token: accessToken })).rejects.toThrow()
    await expect(Device.connect(server, uid, 'laptop')).rejects.toThrow()

    const page = () =>
      server.http<{ entries: { kind: string; body: object; state?: object }[] }>(
        'messages.page',
        { log },
        as(friend),
      )
    await until(
      async () => (await page()).entries.some(({ kind }) => kind === 'notice'),
      'the end of the erasure',
    )
    const [mine, yours] = (await page()).entries
    expect(mine).toMatchObject({ body: {}, state: { recalled: { reason: 'erased' } } })
    expect(yours).toMatchObject({ body: { text: 'yours' } })
    const seen = await server.http<{ items: object[] }>('profile.get', { uids: [uid] }, as(friend))
    expect(seen.items).toMatchObject([{ uid, name: 'deleted account', state: 'erased' }])
    const next = await logIn(server, { phone, deviceId: 'phone' })
    expect(next.uid).not.toBe(uid)
  })
})

describe('the archive of an account', () => {
  test('holds what is mine and nothing of others, as files that any tar opens', async () => {
    const { uid, phone, friend, accessToken } = await newLogin()
    await server.http('profile.set', { name: 'Ann' }, accessToken)
    for (let i = 0; i < 5; i++) {
      const body = { text: `mine ${i}` }
      await server.http('messages.send', { to: friend, type: 'text', body }, accessToken)
    }
    await server.http('messages.send', { to: uid, type: 'text', body: { text: 'theirs' } }, as(friend))
    const picture = await uploadFile(accessToken, 'a picture of mine')
    const { url } = await server.http<{ url: string }>('accounts.export', {}, accessToken)
    expect((await fetch(url)).status).toBe(401)
    const answer = await fetch(url, { headers: { authorization: `Bearer ${accessToken}` } })
    expect(answer.headers.get('content-type')).toBe('application/gzip')
    const files = untar(Buffer.from(await answer.arrayBuffer()))
    const lines = (name: string) =>
      (files.get(name) ?? '')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as unknown)
    expect(JSON.parse(files.get('manifest.json')!)).toMatchObject({ uid })
    expect(lines('account-00001.jsonl')).toMatchObject([{ uid, phone }])
    expect(lines('profile-00001.jsonl')).toMatchObject([{ uid, name: 'Ann' }])
    expect(lines('contacts-00001.jsonl')).toMatchObject([{ uid: friend, state: 'friend' }])
    expect(lines('messages-00001.jsonl')).toMatchObject(
      Array.from({ length: 5 }, (_, i) => ({ log: directLog(uid, friend), body: { text: `mine ${i}` } })),
    )
    if (picture !== null) expect(files.get(`media/${picture}`)).toBe('a picture of mine')
    expect([...files.values()].join('')).not.toContain('theirs')
  })
})

/** A small file of one part; null where nodes share a store and no place for files. */
async function uploadFile(token: string, text: string): Promise<string | null> {
  if (IN_CLUSTER) return null
  const bytes = Buffer.from(text)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const params = { name: 'mine.txt', bytes: bytes.length, sha256 }
  const { id } = await server.http<{ id: string }>('media.create', params, token)
  const headers = { authorization: `Bearer ${token}` }
  await fetch(`${server.httpUrl}/v1/media/${id}/parts/1`, { method: 'PUT', headers, body: text })
  await server.http('media.complete', { id }, token)
  return id
}

/** Opened by the system's own tar. */
function untar(archive: Buffer): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-export-'))
  try {
    writeFileSync(join(folder, 'archive.tar.gz'), archive)
    execFileSync('tar', ['-xzf', 'archive.tar.gz'], { cwd: folder })
    const names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile() && file.name !== 'archive.tar.gz')
      .map((file) => relative(folder, join(file.parentPath, file.name)))
    return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
