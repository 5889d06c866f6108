/**
 * What a repeated send is compared by where screening has replaced the body, of the message that is stored or of the one
 * that comes: the hash of what was sent. `commit_sends` of PostgreSQL compares in the same way.
 */
import { createHash } from 'node:crypto'

/** SHA-256, in hexadecimal digits; `bodyJson` as it came, parsed and written again. */
export function bodyHash(bodyJson: string): string {
  return createHash('sha256').update(bodyJson).digest('hex')
}

/** A body as it is stored; `sentHash` is of the one that was sent, null where that is the same. */
type ScreenedBody = { bodyJson: string; sentHash: string | null }

/** Whether the same body was sent. */
export function isSameBody(stored: ScreenedBody, repeated: ScreenedBody): boolean {
  if (stored.sentHash === null && repeated.sentHash === null) return stored.bodyJson === repeated.bodyJson
  return sentHashOf(stored) === sentHashOf(repeated)
}

const sentHashOf = ({ bodyJson, sentHash }: ScreenedBody): string => sentHash ?? bodyHash(bodyJson)
