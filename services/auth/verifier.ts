/** Checks access tokens: ours, and those of the issuers that the configuration trusts. */
import type { Logger } from 'pino'
import { WochatError } from '../../protocol/errors.ts'
import { parseDeviceId, parseUserId } from '../../protocol/ids.ts'
import type { TokenIdentity } from './access-token.ts'
import { parseAcl } from './acl.ts'
import { JWKS_DEFAULTS, JwksSource, type JwksSourceSettings } from './jwks-source.ts'
import { isSignedBy, type Jws, type JwsKey, parseJws } from './jws.ts'
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
  log: Pick<Logger, 'warn'>
  now?: () => number
  /** Bounds on fetching the keys of other issuers. */
  jwks?: Partial<Omit<JwksSourceSettings, 'location'>>
}

/** An issuer that is trusted: what its tokens must say, and where its keys are. */
type Trust = {
  issuer: string
  audience: string
  own: boolean
  findKey(kid: string | undefined): Promise<JwsKey | undefined>
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
      const jws = parse(token)
      const trust = trusts.get(jws.payload.iss as string)
      if (trust === undefined) throw refusal('its issuer is not trusted')
      const key = await trust.findKey(readKid(jws))
      if (key === undefined) throw refusal('its key is unknown or was retired')
      if (!isSignedBy(jws, key)) throw refusal('its signature is not of that key')
      return readClaims(jws.payload, trust, now())
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

function parse(token: string): Jws {
  if (token.length > TOKEN_CHARS_MAX) throw refusal('it is too long')
  const jws = parseJws(token)
  if (jws === undefined) throw refusal('it is no signed JWT')
  return jws
}

function readKid({ header }: Jws): string | undefined {
  const { kid } = header
  if (kid !== undefined && typeof kid !== 'string') throw refusal('its kid is no string')
  return kid
}

function readClaims(claims: Jws['payload'], trust: Trust, nowMs: number): VerifiedToken {
  if (!isForAudience(claims.aud, trust.audience)) throw refusal('it is for another audience')
  const { issuedAt, expiresAt } = readTimes(claims, nowMs)
  const uid = typeof claims.sub === 'string' ? parseUserId(claims.sub) : undefined
  if (uid === undefined) throw refusal('its sub is no uid')
  const device = readDevice(claims.did)
  const acl = parseAcl(claims.acl)
  if (acl === undefined) throw refusal('its acl is malformed or reaches into u/ or $')
  return { uid, device, sid: trust.own ? readSid(claims.sid) : null, issuedAt, expiresAt, acl }
}

/** One audience or a list of them [RFC 7519 section 4.1.3]. */
function isForAudience(aud: unknown, audience: string): boolean {
  return aud === audience || (Array.isArray(aud) && aud.includes(audience))
}

/** In ms. `iat` is required, and not from the future: such a token would outlive a revocation of its device. */
function readTimes(
  { exp, iat, nbf }: { exp?: unknown; iat?: unknown; nbf?: unknown },
  nowMs: number,
): { issuedAt: number; expiresAt: number } {
  const latest = nowMs / 1000 + CLOCK_AHEAD_S
  if (!isTime(exp) || !isTime(iat)) throw refusal('it lacks exp or iat')
  if (exp * 1000 <= nowMs) throw refusal('it has expired')
  if (iat > latest || (nbf !== undefined && !(isTime(nbf) && nbf <= latest))) {
    throw refusal('it is not valid yet')
  }
  return { issuedAt: Math.floor(iat * 1000), expiresAt: Math.floor(exp * 1000) }
}

/** Seconds since 1970 [RFC 7519 section 2, NumericDate]. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
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
