/** Checks access tokens: ours, those of the issuers that the configuration trusts, and API keys of bots. */
import type { KeyObject } from 'node:crypto'
import jwt from 'jsonwebtoken'
import type { Logger } from 'pino'
import { WochatError } from '../../protocol/errors.ts'
import { parseDeviceId, parseUserId } from '../../protocol/ids.ts'
import type { TokenIdentity } from './access-token.ts'
import { parseAcl } from './acl.ts'
import { type ApiKeys, isApiKey } from './api-keys.ts'
import { JWKS_DEFAULTS, JwksSource, type JwksSourceSettings } from './jwks-source.ts'
import type { Keyring } from './keyring.ts'
import type { TokenVerifier, VerifiedToken } from './token.ts'

/** Longest token that is looked at; the CONNECT packet bounds it too. */
const TOKEN_CHARS_MAX = 16 * 1024
/** How far the clocks of other issuers may be ahead of ours, for `iat` and `nbf`. The end of a token is exact. */
const CLOCK_AHEAD_S = 60

export type TrustedIssuer = {
  issuer: string
  audience: string
  /** File path or URL. */
  jwks: string
}

export type VerifierSettings = {
  keyring: Keyring
  identity: TokenIdentity
  issuers: readonly TrustedIssuer[]
  /** Without them no API key is taken. */
  apiKeys?: ApiKeys
  log: Pick<Logger, 'warn'>
  now?: () => number
  /** Bounds on fetching the keys of other issuers. */
  jwks?: Partial<Omit<JwksSourceSettings, 'location'>>
}

type TrustedKey = { alg: jwt.Algorithm; publicKey: KeyObject }
/** An issuer that is trusted: what its tokens must say, and where its keys are. */
type Trust = {
  issuer: string
  audience: string
  own: boolean
  findKey(kid: string | undefined): Promise<TrustedKey | undefined>
}

/**
 * Signature, algorithm, issuer, audience and times of every token are checked anew; only keys are kept. Throws when
 * two trusted issuers have one name.
 */
export function createTokenVerifier(settings: VerifierSettings): TokenVerifier {
  const now = settings.now ?? Date.now
  const trusts = buildTrusts(settings)
  return {
    async verify(token) {
      if (settings.apiKeys !== undefined && isApiKey(token)) return settings.apiKeys.verify(token)
      const { header, issuer } = peek(token)
      const trust = trusts.get(issuer)
      if (trust === undefined) throw refusal('its issuer is not trusted')
      const key = await trust.findKey(header.kid)
      if (key === undefined) throw refusal('its key is unknown or was retired')
      return readClaims(verifySignature(token, key, trust, now()), trust, now())
    },
  }
}

function buildTrusts({ keyring, identity, issuers, log, jwks }: VerifierSettings): Map<string, Trust> {
  const trusts = new Map<string, Trust>()
  trusts.set(identity.issuer, {
    ...identity,
    own: true,
    findKey: async (kid) => (kid === undefined ? undefined : keyring.findVerifyKey(kid)),
  })
  for (const { issuer, audience, jwks: location } of issuers) {
    if (trusts.has(issuer)) throw new Error(`the issuer ${issuer} is named twice, or is our own`)
    const source = new JwksSource({ ...JWKS_DEFAULTS, ...jwks, location }, (reason) =>
      log.warn({ issuer, reason }, 'the keys of a trusted issuer cannot be read'),
    )
    trusts.set(issuer, { issuer, audience, own: false, findKey: (kid) => source.find(kid) })
  }
  return trusts
}

type Peeked = { header: { kid: string | undefined }; issuer: string }

/** Reads, without believing it, which key a token says it was signed with. */
function peek(token: string): Peeked {
  if (token.length > TOKEN_CHARS_MAX) throw refusal('it is too long')
  const parts = token.split('.')
  if (parts.length !== 3) throw refusal('it is no JWT')
  const [header, payload] = [parts[0]!, parts[1]!].map(parsePart)
  // An extension that must be understood, and is not [RFC 7515 section 4.1.11]; jsonwebtoken does not look.
  if (header?.crit !== undefined) throw refusal('it has extensions that are not known here')
  const kid = header?.kid
  const issuer = payload?.iss
  if (typeof issuer !== 'string' || (kid !== undefined && typeof kid !== 'string')) {
    throw refusal('it is no JWT')
  }
  return { header: { kid }, issuer }
}

function parsePart(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The algorithm is the key's own, whatever the token's header says [RFC 8725 section 3.1]. */
function verifySignature(
  token: string,
  key: TrustedKey,
  { issuer, audience }: Trust,
  now: number,
): jwt.JwtPayload {
  try {
    const payload = jwt.verify(token, key.publicKey, {
      algorithms: [key.alg],
      issuer,
      audience,
      clockTimestamp: Math.floor(now / 1000),
      ignoreNotBefore: true,
    })
    if (typeof payload === 'string') throw refusal('its payload is no object')
    return payload
  } catch (error) {
    if (error instanceof WochatError) throw error
    throw refusal(reasonOf(error))
  }
}

/** In our words: those of the library quote the token. */
function reasonOf(error: unknown): string {
  if (error instanceof jwt.TokenExpiredError) return 'it has expired'
  const message = error instanceof jwt.JsonWebTokenError ? error.message : ''
  return message.startsWith('jwt audience') ? 'it is for another audience' : 'it does not verify'
}

function readClaims(claims: jwt.JwtPayload, trust: Trust, now: number): VerifiedToken {
  const latest = now / 1000 + CLOCK_AHEAD_S
  // jsonwebtoken takes tokens without these two, and one from the future would outlive a revocation.
  const { exp, iat, nbf } = claims
  if (typeof exp !== 'number' || typeof iat !== 'number') throw refusal('it lacks exp or iat')
  if (iat > latest || (nbf !== undefined && !(nbf <= latest))) throw refusal('it is not valid yet')
  const uid = typeof claims.sub === 'string' ? parseUserId(claims.sub) : undefined
  if (uid === undefined) throw refusal('its sub is no uid')
  const device = readDevice(claims.did)
  const acl = parseAcl(claims.acl)
  if (acl === undefined) throw refusal('its acl is malformed or reaches into u/ or $')
  return {
    uid,
    device,
    sid: trust.own ? readSid(claims.sid) : null,
    issuedAt: Math.floor(iat * 1000),
    expiresAt: Math.floor(exp * 1000),
    acl,
  }
}

function readDevice(did: unknown): VerifiedToken['device'] {
  if (did === undefined) return null
  const device = typeof did === 'string' ? parseDeviceId(did) : undefined
  if (device === undefined) throw refusal('its did is no device id')
  return device
}

/** Other issuers use `sid` for sessions of their own [OpenID Connect]; only ours names a login of this store. */
function readSid(sid: unknown): string | null {
  if (sid === undefined) return null
  if (typeof sid !== 'string') throw refusal('its sid is no string')
  return sid
}

function refusal(reason: string): WochatError {
  return new WochatError('unauthenticated', `the token is not accepted: ${reason}`)
}
