/**
 * Signed links to files: who asked for one may hand it to an `<img>` or a player, which sends no token. A link says for
 * whom it is, and that person's right to the file is looked at again whenever it is followed.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { WochatError } from '../../protocol/errors.ts'
import { HTTP_ROUTES } from '../../protocol/http-routes.ts'
import type { UserId } from '../../protocol/ids.ts'

export type MediaLinks = {
  /** Path and query of a link, and when it ends, ms. */
  sign(id: string, uid: UserId): { path: string; expiresAt: number }
  /** For whom a followed link is. Refuses `unauthenticated` when it was not made here, or has ended. */
  verify(id: string, query: { uid: string; expires: string; signature: string }): UserId
}

type LinkSettings = {
  /** A secret that all nodes share. */
  secret: () => Buffer
  ttlMs: number
  now?: () => number
}

const PURPOSE = 'wochat media links'
const KEY_BYTES = 32

export function createMediaLinks({ secret, ttlMs, now = Date.now }: LinkSettings): MediaLinks {
  function signatureOf(id: string, uid: string, expires: string): Buffer {
    const key = Buffer.from(hkdfSync('sha256', secret(), '', PURPOSE, KEY_BYTES))
    return createHmac('sha256', key)
      .update(JSON.stringify([id, uid, expires]))
      .digest()
  }
  return {
    sign(id, uid) {
      const expiresAt = now() + ttlMs
      const expires = String(expiresAt)
      const signature = signatureOf(id, uid, expires).toString('base64url')
      const query = new URLSearchParams({ uid, expires, signature })
      return { path: `${HTTP_ROUTES['media.read'].path.replace('{id}', id)}?${query}`, expiresAt }
    },
    verify(id, { uid, expires, signature }) {
      const given = Buffer.from(signature, 'base64url')
      const right = signatureOf(id, uid, expires)
      if (given.length !== right.length || !timingSafeEqual(given, right))
        throw new WochatError('unauthenticated', 'the link was not signed here')
      if (Number(expires) <= now()) throw new WochatError('unauthenticated', 'the link has ended')
      return uid as UserId
    },
  }
}
