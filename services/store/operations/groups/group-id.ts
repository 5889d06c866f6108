/** Ids of new groups: 128 random bits, so that nobody finds a group by guessing. */
import { randomBytes } from 'node:crypto'
import { buildGroupLog, type LogId } from '../../../../protocol/ids.ts'

const ID_BYTES = 16

/** `g:` and 22 characters that are safe in a URL. */
export function createGroupId(): LogId {
  return buildGroupLog(randomBytes(ID_BYTES).toString('base64url'))
}
