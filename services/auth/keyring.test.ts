import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { issueAccessToken } from './access-token.ts'
import { createKeyFile } from './key-file.ts'
import { startKeyRotation } from './key-rotation.ts'
import { Keyring, KeyringError } from './keyring.ts'
import { createTokenVerifier } from './verifier.ts'

const HOUR_MS = 3_600_000
const identity = { issuer: 'wochat', audience: 'wochat' }
const log = { warn() {} }

let parent: string
let dir: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'wochat-keys-'))
  dir = join(parent, 'keys')
})
afterEach(() => rm(parent, { recursive: true, force: true }))

const open = (alg: 'RS256' | 'ES256' = 'RS256', now = Date.now) =>
  Keyring.open({ storage: createKeyFile(dir), alg, keepMs: HOUR_MS, now })

const tokenOf = (keyring: Keyring, now = Date.now()) =>
  issueAccessToken(keyring, identity, {
    uid: 'alice' as never,
    device: null,
    sid: null,
    ttlMs: 4 * HOUR_MS,
    now,
  }).token

const verifies = (keyring: Keyring, token: string, now = Date.now) =>
  createTokenVerifier({ keyring, identity, issuers: [], log, now })
    .verify(token)
    .then(
      () => true,
      () => false,
    )

describe('the key file', () => {
  it('is made by the first start, readable by its owner only', async () => {
    await open()
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    expect(await readdir(dir)).toEqual(['keyring.json'])
    expect((await stat(join(dir, 'keyring.json'))).mode & 0o777).toBe(0o600)
  })

  it('is closed to others again by a start that finds it open', async () => {
    await open()
    await chmod(join(dir, 'keyring.json'), 0o644)
    await open()
    expect((await stat(join(dir, 'keyring.json'))).mode & 0o777).toBe(0o600)
  })

  it('keeps its key over a restart', async () => {
    const token = tokenOf(await open())
    expect(await verifies(await open(), token)).toBe(true)
  })

  it('holds one key when two processes start at once', async () => {
    const [a, b, c] = await Promise.all([open(), open(), open()])
    expect(new Set([a, b, c].map((keyring) => keyring.signing.kid)).size).toBe(1)
    expect(await readdir(dir)).toEqual(['keyring.json'])
  })

  it('is read by a tool beside the server without being changed', async () => {
    const server = await open()
    const before = await snapshot(dir)
    const tool = await Keyring.read(createKeyFile(dir))
    expect(await verifies(server, tokenOf(tool))).toBe(true)
    expect(await snapshot(dir)).toEqual(before)
  })

  it('is not made by a tool', async () => {
    await expect(Keyring.read(createKeyFile(dir))).rejects.toThrow(KeyringError)
    await expect(readdir(dir)).rejects.toThrow('ENOENT')
  })

  it('that is damaged stops the start with its path and without its text', async () => {
    const { codePepper } = await open()
    await writeFile(join(dir, 'keyring.json'), `{"version":1,"codePepper":"${codePepper.toString('base64')}"`)
    const error = await open().catch((e: unknown) => e as Error)
    expect(error).toBeInstanceOf(KeyringError)
    expect((error as Error).message).toContain(join(dir, 'keyring.json'))
    expect((error as Error).message).not.toContain(codePepper.toString('base64'))
  })
})

describe('rotation', () => {
  it('signs with a new key, and the previous one verifies until its end time', async () => {
    let time = Date.now()
    const now = () => time
    const keyring = await open('RS256', now)
    const old = tokenOf(keyring)
    await keyring.rotate({ alg: 'RS256', keepMs: HOUR_MS })
    const fresh = tokenOf(keyring)
    expect(keyring.jwks().keys).toHaveLength(2)
    expect(await verifies(keyring, old, now)).toBe(true)
    expect(await verifies(keyring, fresh, now)).toBe(true)
    time += HOUR_MS + 1000
    expect(await verifies(keyring, old, now)).toBe(false)
    expect(await verifies(keyring, fresh, now)).toBe(true)
    expect(keyring.jwks().keys.map((key) => key.kid)).toEqual([keyring.signing.kid])
  })

  it('keeps no private half of a previous key, and forgets keys that are over', async () => {
    let time = Date.now()
    const keyring = await open('RS256', () => time)
    await keyring.rotate({ alg: 'RS256', keepMs: HOUR_MS })
    time += 2 * HOUR_MS
    await keyring.rotate({ alg: 'RS256', keepMs: HOUR_MS })
    const stored = JSON.parse(await readFile(join(dir, 'keyring.json'), 'utf8')) as {
      keys: { privateKey: string | null }[]
    }
    expect(stored.keys.map(({ privateKey }) => privateKey === null)).toEqual([false, true])
  })

  it('survives a restart, both keys and the pepper', async () => {
    const keyring = await open()
    const { codePepper } = keyring
    const old = tokenOf(keyring)
    await keyring.rotate({ alg: 'RS256', keepMs: HOUR_MS })
    const again = await open()
    expect(await verifies(again, old)).toBe(true)
    expect(again.signing.kid).toBe(keyring.signing.kid)
    expect(again.codePepper).toEqual(codePepper)
  })

  it('by another process is noticed at the first token of the new key', async () => {
    const reader = await open()
    const owner = await open()
    await owner.rotate({ alg: 'RS256', keepMs: HOUR_MS })
    expect(await verifies(reader, tokenOf(owner))).toBe(true)
  })

  it('comes with a start under another algorithm, which old tokens survive', async () => {
    const old = tokenOf(await open('RS256'))
    const keyring = await open('ES256')
    expect(keyring.signing.alg).toBe('ES256')
    expect(await verifies(keyring, old)).toBe(true)
    expect(await verifies(keyring, tokenOf(keyring))).toBe(true)
    expect(keyring.jwks().keys.map((key) => key.alg)).toEqual(['ES256', 'RS256'])
  })
})

it('a key that has become old is replaced while the server runs', async () => {
  let time = Date.now()
  const keyring = await open('RS256', () => time)
  const { kid } = keyring.signing
  const settings = { keyring, alg: 'RS256', ageMaxMs: HOUR_MS, keepMs: HOUR_MS, now: () => time } as const
  const log = { info() {}, warn() {}, error() {} }
  await using _rotation = startKeyRotation({ ...settings, log, checkEveryMs: 5 })
  expect(keyring.signing.kid).toBe(kid)
  time += HOUR_MS
  await expect.poll(() => keyring.signing.kid, { timeout: 10_000 }).not.toBe(kid)
  expect(keyring.jwks().keys).toHaveLength(2)
})

it('the JWKS holds public halves only', async () => {
  const keyring = await open()
  await keyring.rotate({ alg: 'ES256', keepMs: HOUR_MS })
  for (const key of keyring.jwks().keys) {
    expect(Object.keys(key).filter((name) => ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'].includes(name))).toEqual(
      [],
    )
    expect(key.use).toBe('sig')
  }
})

async function snapshot(folder: string) {
  const names = await readdir(folder)
  return Promise.all(
    names.map(async (name) => {
      const { mtimeMs, ino, mode } = await stat(join(folder, name))
      return { name, mtimeMs, ino, mode, text: await readFile(join(folder, name), 'utf8') }
    }),
  )
}
