/**
 * An identity provider of the tests: a key pair of its own that the server trusts by configuration.
 *
 * A token costs a signature here instead of a process; nothing of the server's own code takes part in making it.
 */
import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const ISSUER = 'https://idp.test.example'
const AUDIENCE = 'wochat'
const DEFAULT_TTL_MS = 3_600_000

export type TokenOptions = {
  /** Until the token ends; negative for one that has ended. */
  ttlMs?: number
  acl?: { pub?: string[]; sub?: string[] }
  /** Replaces or, with undefined, drops claims. */
  claims?: Record<string, unknown>
  issuer?: string
  audience?: string
}

export class TestIssuer {
  readonly #key: KeyObject
  readonly #jwk: Record<string, unknown>
  readonly #kid: string

  constructor(kid = 'test-1') {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#key = privateKey
    this.#kid = kid
    this.#jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }
  }

  /** Writes the public half as a JWKS and returns the setting that makes a server trust it. */
  publish(file: string): string {
    writeFileSync(file, JSON.stringify({ keys: [this.#jwk] }))
    return JSON.stringify([{ issuer: ISSUER, audience: AUDIENCE, jwks: file }])
  }

  /** A signed token; without `deviceId` it is bound to none. */
  token(uid: string, deviceId: string | null, options: TokenOptions = {}): string {
    const nowS = Math.floor(Date.now() / 1000)
    const claims = {
      iss: options.issuer ?? ISSUER,
      aud: options.audience ?? AUDIENCE,
      sub: uid,
      did: deviceId ?? undefined,
      iat: nowS - 5,
      exp: nowS + Math.floor((options.ttlMs ?? DEFAULT_TTL_MS) / 1000),
      acl: options.acl,
      ...options.claims,
    }
    const signed = `${base64url({ alg: 'RS256', typ: 'JWT', kid: this.#kid })}.${base64url(claims)}`
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(this.#key, 'base64url')}`
  }
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
