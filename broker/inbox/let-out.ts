/**
 * Whom an entry lets out of its group. The doorbell that says so comes by another road than the entries of the group, and
 * may come behind what was written after it; the entry itself does not.
 */
import type { GroupEntryType } from '../../protocol/entry.ts'
import type { UserId } from '../../protocol/ids.ts'

const NOBODY: readonly UserId[] = []
/** What people write is escaped inside their texts, so that it is a field of the entry, or at worst one of a body. */
const IN_GROUP_ENTRIES = Buffer.from('"kind":"group"')

type Parsed = { kind: string; type: GroupEntryType; body: { uid?: UserId; members?: UserId[] } }

/** The entry's JSON is `bytes[start, end)`. */
export function letOutBy(bytes: Buffer, start: number, end: number): readonly UserId[] {
  const json = bytes.subarray(start, end)
  if (!json.includes(IN_GROUP_ENTRIES)) return NOBODY
  const { kind, type, body } = JSON.parse(json.toString('utf8')) as Parsed
  if (kind !== 'group') return NOBODY
  if (type === 'removed') return body.members ?? NOBODY
  return (type === 'left' || type === 'banned') && body.uid !== undefined ? [body.uid] : NOBODY
}
