/** Makes access tokens: JWTs of our own issuer. */
import jwt from 'jsonwebtoken'
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import type { Keyring } from './keyring.ts'

/** What our own tokens carry as `iss` and `aud`. */
export type TokenIdentity = { issuer: string; audience: string }

type AccessTokenInput = {
  uid: UserId
  /** Binds the token to a device. */
  device: DeviceId | null
  /** The login that it belongs to, by which it can be ended. */
  sid: string | null
  acl?: { pub: readonly string[]; sub: readonly string[] }
  ttlMs: number
  /** ms since 1970. */
  now: number
}

/** A token, and when it ends (ms since 1970). Times in a token are whole seconds; the end is rounded up. */
export function issueAccessToken(
  keyring: Keyring,
  identity: TokenIdentity,
  input: AccessTokenInput,
): { token: string; expiresAt: number } {
  const { kid, alg, privateKey } = keyring.signing
  const exp = Math.ceil((input.now + input.ttlMs) / 1000)
  const claims = {
    sub: input.uid,
    ...(input.device !== null && { did: input.device }),
    ...(input.sid !== null && { sid: input.sid }),
    ...(input.acl !== undefined && { acl: input.acl }),
    iss: identity.issuer,
    aud: identity.audience,
    iat: Math.floor(input.now / 1000),
    exp,
  }
  return { token: jwt.sign(claims, privateKey, { algorithm: alg, keyid: kid }), expiresAt: exp * 1000 }
}
