/** What a verified access token says. */
import type { DeviceId, UserId } from '../../protocol/ids.ts'

export type VerifiedToken = {
  uid: UserId
  /** The token is bound to this device. */
  device: DeviceId | null
  /** The login it came from; null for a token of an external issuer or of `wochat token`. */
  sid: string | null
  /** ms since 1970. */
  issuedAt: number
  expiresAt: number
  /** Filters of application topics, outside `u/` and `$`. */
  acl: { pub: readonly string[]; sub: readonly string[] }
}

/** Checks signature, issuer, audience, times and algorithm; revocation is the store's part ({@link AccountStore.checkLogin}). */
export interface TokenVerifier {
  /** Rejects with `unauthenticated`. */
  verify(token: string): Promise<VerifiedToken>
}
