import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  findProfile,
  type Profile,
  profilePath,
  removeProfile,
  saveProfile,
  withProfileLock,
} from './profile.ts'
import { localUrl, readClaims, webSocketUrl } from './session.ts'

let home: string
let path: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'wochat-profile-'))
  path = profilePath('default', home)
})
afterEach(() => rm(home, { recursive: true, force: true }))

const profile: Profile = {
  url: 'http://127.0.0.1:8080',
  uid: 'alice',
  deviceId: 'cli-1',
  accessToken: 'a.b.c',
  refreshToken: 'r',
  expiresAt: 1,
  endpoints: { mqtt: 'mqtt://127.0.0.1:1883', ws: 'ws://127.0.0.1:8080/mqtt', http: 'http://127.0.0.1:8080' },
}

test('a saved profile is found again, readable by its owner only, and nothing else is left', async () => {
  await saveProfile(path, profile)
  await saveProfile(path, { ...profile, accessToken: 'd.e.f' })
  expect(await findProfile(path)).toEqual({ ...profile, accessToken: 'd.e.f' })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(join(home, '.config/wochat'))).toEqual(['default.json'])
})

test('a profile that was never saved, or was removed, is not found', async () => {
  expect(await findProfile(path)).toBeUndefined()
  await saveProfile(path, profile)
  await removeProfile(path)
  expect(await findProfile(path)).toBeUndefined()
})

test.each(['../evil', '.hidden', 'a/b', '', 'x'.repeat(65)])('the profile name %j is refused', (name) => {
  expect(() => profilePath(name, home)).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

test.each(['{', 'null', '{"uid":"alice"}'])(
  'a file that holds %s is refused as no profile',
  async (content) => {
    await saveProfile(path, profile)
    await writeFile(path, content)
    await expect(findProfile(path)).rejects.toMatchObject({ code: 'bad_request' })
  },
)

test('commands that hold the lock take turns', async () => {
  await saveProfile(path, profile)
  let holders = 0
  const work = async () => {
    expect(++holders).toBe(1)
    await findProfile(path)
    holders--
  }
  await Promise.all([withProfileLock(path, work), withProfileLock(path, work), withProfileLock(path, work)])
})

test('a lock that a killed command left is taken over', async () => {
  await saveProfile(path, profile)
  const longAgo = new Date(Date.now() - 120_000)
  await writeFile(`${path}.lock`, '')
  await utimes(`${path}.lock`, longAgo, longAgo)
  expect(await withProfileLock(path, async () => 'done')).toBe('done')
})

test('the claims of a token are read without trusting it, and nothing is read from what is none', () => {
  const token = `x.${Buffer.from('{"sub":"alice","did":"phone","exp":1}').toString('base64url')}.y`
  expect(readClaims(token)).toEqual({ sub: 'alice', did: 'phone' })
  for (const text of ['', 'x', 'x.y.z', `x.${Buffer.from('null').toString('base64url')}.y`])
    expect(readClaims(text)).toEqual({})
})

test('MQTT over WebSocket is found at the HTTP address', () => {
  expect(webSocketUrl('http://127.0.0.1:8080/')).toBe('ws://127.0.0.1:8080/mqtt')
  expect(webSocketUrl('https://chat.example')).toBe('wss://chat.example/mqtt')
  expect(() => webSocketUrl('chat.example')).toThrow('--url')
})

test.each([
  [undefined, 'http://127.0.0.1:8080'],
  ['18080', 'http://127.0.0.1:18080'],
  ['0', 'http://127.0.0.1:8080'],
  ['http', 'http://127.0.0.1:8080'],
])('a server on this machine is looked for at the port of the environment: %s', (port, url) => {
  expect(localUrl(port, 8080)).toBe(url)
})
