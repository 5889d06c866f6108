/** Tokens are made by `jsonwebtoken` or by hand, never by the code under test. */
import { createHmac, createPublicKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import jwt from 'jsonwebtoken'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueAccessToken } from './access-token.ts'
import { createKeyFile } from './key-file.ts'
import { Keyring } from './keyring.ts'
import type { TokenVerifier } from './token.ts'
import { createTokenVerifier, type TrustedIssuer, type VerifierSettings } from './verifier.ts'

const IDP = 'https://idp.example'
const identity = { issuer: 'wochat', audience: 'wochat' }
const nowS = () => Math.floor(Date.now() / 1000)

type Pair = { publicKey: KeyObject; privateKey: KeyObject }
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const smallRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const jwkOf = ({ publicKey }: Pair, fields: Record<string, unknown>) => ({
  ...publicKey.export({ format: 'jwk' }),
  ...fields,
})

let dir: string
let keyring: Keyring
let warnings: string[]
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wochat-verify-'))
  keyring = await Keyring.open({ storage: createKeyFile(join(dir, 'keys')), alg: 'RS256', keepMs: 3_600_000 })
})
afterAll(() => rm(dir, { recursive: true, force: true }))

function verifierOf(issuers: TrustedIssuer[] = [], jwks: VerifierSettings['jwks'] = {}): TokenVerifier {
  const heard: string[] = []
  warnings = heard
  const log = { warn: (fields: { reason: string }) => void heard.push(fields.reason) } as never
  return createTokenVerifier({ keyring, identity, issuers, log, jwks })
}

const refused = expect.objectContaining({ name: 'WochatError', code: 'unauthenticated' })
const codeOf = (verifier: TokenVerifier, token: string) =>
  verifier.verify(token).then(
    () => 'ok',
    (error: { code: string }) => error.code,
  )

const claims = (changes: Record<string, unknown> = {}) => ({
  sub: 'alice',
  iss: 'wochat',
  aud: 'wochat',
  iat: nowS(),
  exp: nowS() + 60,
  ...changes,
})
const sign = (
  payload: object,
  key: KeyObject,
  algorithm: jwt.Algorithm,
  header: Record<string, unknown> = {},
) => jwt.sign(payload, key, { algorithm, header: { alg: algorithm, ...header } })
const own = (changes: Record<string, unknown> = {}) =>
  sign(claims(changes), keyring.signing.privateKey, 'RS256', { kid: keyring.signing.kid })
const external = (changes: Record<string, unknown> = {}, pair: Pair = rsa, kid: string | null = 'r1') =>
  sign(claims({ iss: IDP, ...changes }), pair.privateKey, 'RS256', kid === null ? {} : { kid })

describe('a token of our own', () => {
  it('says what it was issued with', async () => {
    const now = Date.now()
    const acl = { pub: ['a/#'], sub: ['b/+'] }
    const { token, expiresAt } = issueAccessToken(keyring, identity, {
      uid: 'alice' as never,
      device: 'phone' as never,
      sid: 'login-1',
      acl,
      ttlMs: 60_000,
      now,
    })
    const issuedAt = Math.floor(now / 1000) * 1000
    expect(await verifierOf().verify(token)).toEqual({
      uid: 'alice',
      device: 'phone',
      sid: 'login-1',
      issuedAt,
      expiresAt,
      acl,
    })
    const published = createPublicKey({ key: keyring.jwks().keys[0]!, format: 'jwk' })
    expect(jwt.verify(token, published, { algorithms: ['RS256'] })).toMatchObject({ sub: 'alice' })
  })

  it.each<[string, Record<string, unknown>]>([
    ['another audience', { aud: 'other' }],
    ['a list without our audience', { aud: ['a', 'b'] }],
    ['no audience', { aud: undefined }],
    ['an issuer nobody trusts', { iss: 'https://evil.example' }],
    ['no issuer', { iss: undefined }],
    ['an issuer that is a property of every object', { iss: '__proto__' }],
    ['an end in the past', { exp: nowS() - 1 }],
    ['no end', { exp: undefined }],
    ['no time of issue', { iat: undefined }],
    ['a time of issue in the future', { iat: nowS() + 3600 }],
    ['a begin in the future', { nbf: nowS() + 3600 }],
    ['no subject', { sub: undefined }],
    ['a subject that is no uid', { sub: 'a/b' }],
    ['a reserved subject', { sub: 'constructor' }],
    ['a device that is no device id', { did: 'a.b' }],
    ['a device that is a number', { did: 7 }],
    ['a login that is a number', { sid: 7 }],
    ['a grant within u/', { acl: { sub: ['u/bob/inbox'] } }],
    ['a grant of another form', { acl: ['#'] }],
  ])('with %s is refused', async (_with, changes) => {
    await expect(verifierOf().verify(byHand({ alg: 'RS256' }, claims(changes)))).rejects.toEqual(refused)
  })

  it('whose audience is a list with ours is taken', async () => {
    expect(await codeOf(verifierOf(), own({ aud: ['other', 'wochat'] }))).toBe('ok')
  })

  it('that another clock issued a few seconds ahead is taken', async () => {
    expect(await codeOf(verifierOf(), own({ iat: nowS() + 10, nbf: nowS() + 10 }))).toBe('ok')
  })
})

describe('a forged token', () => {
  const kid = () => keyring.signing.kid
  const publicPem = () =>
    createPublicKey({ key: keyring.jwks().keys[0]!, format: 'jwk' }).export({ type: 'spki', format: 'pem' })

  it('signed by HS256 with the public key is refused', async () => {
    const input = `${part({ alg: 'HS256', kid: kid() })}.${part(claims())}`
    const token = `${input}.${createHmac('sha256', publicPem()).update(input).digest('base64url')}`
    await expect(verifierOf().verify(token)).rejects.toEqual(refused)
  })

  it('of algorithm none, in any spelling and with any signature, is refused', async () => {
    for (const alg of ['none', 'None', 'NONE', '']) {
      const input = `${part({ alg, kid: kid() })}.${part(claims())}`
      for (const token of [`${input}.`, input, `${input}.AA`, `${input}.${own().split('.')[2]}`]) {
        await expect(verifierOf().verify(token)).rejects.toEqual(refused)
      }
    }
  })

  it('of another RSA algorithm than the key has is refused', async () => {
    for (const alg of ['RS384', 'RS512', 'PS256'] as const) {
      const token = sign(claims(), keyring.signing.privateKey, alg, { kid: kid() })
      await expect(verifierOf().verify(token)).rejects.toEqual(refused)
    }
  })

  it('with the name of our key and the signature of another is refused', async () => {
    await expect(
      verifierOf().verify(sign(claims(), rsa.privateKey, 'RS256', { kid: kid() })),
    ).rejects.toEqual(refused)
  })

  it('that brings its own key along is refused', async () => {
    const jwk = jwkOf(rsa, { kid: 'mine' })
    for (const header of [{ jwk }, { jwk, kid: 'mine' }, { jku: 'http://127.0.0.1:1/', kid: 'mine' }]) {
      await expect(verifierOf().verify(sign(claims(), rsa.privateKey, 'RS256', header))).rejects.toEqual(
        refused,
      )
    }
  })

  it('with an extension that must be understood is refused', async () => {
    await expect(verifierOf().verify(byHand({ alg: 'RS256', crit: ['b64'] }, claims()))).rejects.toEqual(
      refused,
    )
  })

  it('with any one character changed is refused', async () => {
    const token = own()
    const verifier = verifierOf()
    for (let at = 0; at < token.length - 1; at += 7) {
      if (token[at] === '.') continue
      const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
      expect(await codeOf(verifier, changed), `at ${at}`).toBe('unauthenticated')
    }
  })

  it.each([
    [''],
    ['.'],
    ['..'],
    ['a.b.c'],
    ['a.b.c.d'],
    ['null.null.null'],
    ['{}.{}.{}'],
    [`${part(null)}.${part(null)}.AA`],
    [`${part([])}.${part([])}.AA`],
    [`${part({ alg: 'RS256', kid: 7 })}.${part({ iss: 'wochat' })}.AA`],
    [`${part({ alg: 'RS256' })}.${part({ iss: ['wochat'] })}.AA`],
    ['a'.repeat(1_000_000)],
    ['\0'],
  ])('of nonsense is refused: %.20s', async (token) => {
    await expect(verifierOf().verify(token)).rejects.toEqual(refused)
  })

  it('is refused with a message that holds nothing of it', async () => {
    const token = own({ aud: 'other-audience' })
    const error = (await verifierOf()
      .verify(token)
      .catch((e: unknown) => e)) as Error
    expect(error.message).toBe('the token is not accepted: it is for another audience')
  })
})

describe('an issuer that is trusted by a JWKS file', () => {
  const trust = async (keys: unknown[]) => {
    const jwks = join(dir, `${Math.random()}.json`)
    await writeFile(jwks, JSON.stringify({ keys }))
    return { issuer: IDP, audience: 'wochat', jwks }
  }

  it('has its users let in, with no login of ours behind them', async () => {
    const verifier = verifierOf([await trust([jwkOf(rsa, { kid: 'r1', alg: 'RS256', use: 'sig' })])])
    expect(await verifier.verify(external({ sub: 'bob', did: 'tv', sid: 'of the idp' }))).toMatchObject({
      uid: 'bob',
      device: 'tv',
      sid: null,
    })
  })

  it('may sign by any asymmetric algorithm, one per key', async () => {
    const verifier = verifierOf([
      await trust([
        jwkOf(rsa, { kid: 'ps', alg: 'PS256' }),
        jwkOf(otherRsa, { kid: 'r5', alg: 'RS512' }),
        jwkOf(ec, { kid: 'e2' }),
      ]),
    ])
    const made = [
      [rsa, 'PS256', 'ps'],
      [otherRsa, 'RS512', 'r5'],
      [ec, 'ES256', 'e2'],
    ] as const
    for (const [pair, alg, kid] of made) {
      const token = sign(claims({ iss: IDP }), pair.privateKey, alg, { kid })
      expect(await codeOf(verifier, token), alg).toBe('ok')
      expect(await codeOf(verifier, sign(claims({ iss: IDP }), rsa.privateKey, 'RS256', { kid }))).toBe(
        'unauthenticated',
      )
    }
  })

  it('has its single key taken for a token without a key id, and none of several', async () => {
    const one = verifierOf([await trust([jwkOf(rsa, {})])])
    expect(await codeOf(one, external({}, rsa, null))).toBe('ok')
    const two = verifierOf([await trust([jwkOf(rsa, { kid: 'a' }), jwkOf(otherRsa, { kid: 'b' })])])
    expect(await codeOf(two, external({}, rsa, null))).toBe('unauthenticated')
  })

  it('has symmetric, encryption and short keys passed over', async () => {
    const verifier = verifierOf([
      await trust([
        { kty: 'oct', k: Buffer.from('secret').toString('base64url'), kid: 'sym', alg: 'HS256' },
        jwkOf(otherRsa, { kid: 'enc', use: 'enc' }),
        jwkOf(smallRsa, { kid: 'small' }),
        { kty: 'RSA', n: 'broken', e: '?', kid: 'broken' },
        null,
        jwkOf(rsa, { kid: 'r1' }),
      ]),
    ])
    expect(await codeOf(verifier, external())).toBe('ok')
    expect(await codeOf(verifier, external({}, otherRsa, 'enc'))).toBe('unauthenticated')
    const symmetric = jwt.sign(claims({ iss: IDP }), 'secret', { algorithm: 'HS256', keyid: 'sym' })
    expect(await codeOf(verifier, symmetric)).toBe('unauthenticated')
  })

  it('cannot speak for us, nor we for it', async () => {
    const verifier = verifierOf([await trust([jwkOf(rsa, { kid: 'r1' })])])
    const asUs = sign(claims(), rsa.privateKey, 'RS256', { kid: 'r1' })
    expect(await codeOf(verifier, asUs)).toBe('unauthenticated')
    expect(await codeOf(verifier, own({ iss: IDP }))).toBe('unauthenticated')
  })

  it('must name our audience', async () => {
    const verifier = verifierOf([
      { ...(await trust([jwkOf(rsa, { kid: 'r1' })])), audience: 'chat-of-example' },
    ])
    expect(await codeOf(verifier, external())).toBe('unauthenticated')
    expect(await codeOf(verifier, external({ aud: 'chat-of-example' }))).toBe('ok')
  })

  it('whose file is missing, broken or too large lets nobody in and is warned of', async () => {
    const big = join(dir, 'big.json')
    await writeFile(big, JSON.stringify({ keys: [jwkOf(rsa, { kid: 'r1' })], more: 'x'.repeat(300_000) }))
    const broken = join(dir, 'broken.json')
    await writeFile(broken, '{')
    for (const jwks of [big, broken, join(dir, 'missing.json')]) {
      const verifier = verifierOf([{ issuer: IDP, audience: 'wochat', jwks }])
      expect(await codeOf(verifier, external())).toBe('unauthenticated')
      expect(warnings).toHaveLength(1)
    }
  })

  it('may not be named twice, nor be ourselves', () => {
    const one = { issuer: IDP, audience: 'a', jwks: 'x' }
    expect(() => verifierOf([one, one])).toThrow(IDP)
    expect(() => verifierOf([{ ...one, issuer: 'wochat' }])).toThrow('wochat')
  })
})

describe('an issuer that is trusted by a JWKS URL', () => {
  it('is asked once for many tokens, and once more for a new key', async () => {
    let keys = [jwkOf(rsa, { kid: 'r1' })]
    await using idp = await listenIdp((response) => void response.end(JSON.stringify({ keys })))
    const verifier = verifierOf([{ issuer: IDP, audience: 'wochat', jwks: idp.url }], { refreshMinMs: 0 })
    const many = await Promise.all(Array.from({ length: 20 }, () => codeOf(verifier, external())))
    expect(new Set(many)).toEqual(new Set(['ok']))
    expect(idp.requests()).toBe(1)
    keys = [jwkOf(otherRsa, { kid: 'r2' })]
    expect(await codeOf(verifier, external({}, otherRsa, 'r2'))).toBe('ok')
    expect(await codeOf(verifier, external())).toBe('unauthenticated')
  })

  it('is not asked again for unknown keys within the minimum interval', async () => {
    await using idp = await listenIdp(
      (response) => void response.end(JSON.stringify({ keys: [jwkOf(rsa, { kid: 'r1' })] })),
    )
    const verifier = verifierOf([{ issuer: IDP, audience: 'wochat', jwks: idp.url }])
    for (let i = 0; i < 10; i++) {
      expect(await codeOf(verifier, external({}, otherRsa, `unknown-${i}`))).toBe('unauthenticated')
    }
    expect(idp.requests()).toBe(1)
  })

  it('is asked again in time, so that a key that was taken back is forgotten', async () => {
    let keys = [jwkOf(rsa, { kid: 'r1' })]
    await using idp = await listenIdp((response) => void response.end(JSON.stringify({ keys })))
    const verifier = verifierOf([{ issuer: IDP, audience: 'wochat', jwks: idp.url }], {
      refreshMinMs: 0,
      refreshMaxMs: 0,
    })
    expect(await codeOf(verifier, external())).toBe('ok')
    keys = [jwkOf(otherRsa, { kid: 'r2' })]
    await expect.poll(() => codeOf(verifier, external())).toBe('unauthenticated')
  })

  it('that fails later keeps the keys that are known', async () => {
    let status = 200
    await using idp = await listenIdp((response) => {
      response.statusCode = status
      response.end(JSON.stringify({ keys: [jwkOf(rsa, { kid: 'r1' })] }))
    })
    const verifier = verifierOf([{ issuer: IDP, audience: 'wochat', jwks: idp.url }], {
      refreshMinMs: 0,
      refreshMaxMs: 0,
    })
    expect(await codeOf(verifier, external())).toBe('ok')
    status = 500
    expect(await codeOf(verifier, external())).toBe('ok')
    await expect.poll(() => warnings.length).toBeGreaterThan(0)
    expect(await codeOf(verifier, external())).toBe('ok')
  })

  it('that hangs, redirects, or answers without end is given up', async () => {
    const behaviours: [string, (response: ServerResponse) => void][] = [
      ['hangs', () => undefined],
      ['redirects', (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
      [
        'never ends',
        (response) => {
          const write = () => {
            while (!response.destroyed && response.write('x'.repeat(10_000)));
          }
          response.on('drain', write)
          write()
        },
      ],
    ]
    for (const [name, behaviour] of behaviours) {
      await using idp = await listenIdp(behaviour)
      const verifier = verifierOf([{ issuer: IDP, audience: 'wochat', jwks: idp.url }], {
        fetchTimeoutMs: 300,
      })
      expect(await codeOf(verifier, external()), name).toBe('unauthenticated')
      expect(warnings, name).toHaveLength(1)
    }
  })
})

/** A token of our key whose claims no library has looked at. */
function byHand(header: Record<string, unknown>, payload: object): string {
  const input = `${part({ kid: keyring.signing.kid, ...header })}.${part(payload)}`
  return `${input}.${createSign('RSA-SHA256').update(input).sign(keyring.signing.privateKey, 'base64url')}`
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

async function listenIdp(answer: (response: ServerResponse) => void) {
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
