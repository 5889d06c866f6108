/** Files as the store keeps them: their rows, who may see one, and what shows one. */
import type { Result } from '../../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { sawContent } from '../entries/access.ts'
import type { Transaction } from '../transaction.ts'

/** Most parts of an upload; the parts of a larger file are larger. */
export const MEDIA_PARTS_MAX = 10_000

export type MediaState = 'uploading' | 'ready' | 'deleted'

export type MediaRow = {
  id: string
  account: number
  state: MediaState
  name: string | null
  type: string
  bytes: number
  sha256: string
  width: number | null
  height: number | null
  thumbnail: number
  part_bytes: number
  made_at: number
  retired_at: number | null
}

export const MEDIA_COLUMNS = `id, account, state, name, type, bytes, sha256, width, height, thumbnail, part_bytes,
  made_at, retired_at`

export type MediaView = Result<'media.get'>

export const countParts = (bytes: number, partBytes: number): number => Math.ceil(bytes / partBytes)

export function viewOf(row: MediaRow): Omit<MediaView, 'parts' | 'partBytes'> {
  return {
    id: row.id,
    state: row.state,
    ...(row.name !== null && { name: row.name }),
    type: row.type,
    bytes: row.bytes,
    sha256: row.sha256,
    ...(row.width !== null && row.height !== null && { width: row.width, height: row.height }),
    thumbnail: row.thumbnail === 1,
    madeAt: row.made_at,
  }
}

/** Numbers of the parts that are not there. */
export async function missingParts(tx: Transaction, row: MediaRow): Promise<number[]> {
  const there = await tx.query<{ part: number }>(
    'select part from media_part where media = $1 order by part limit $2',
    [row.id, MEDIA_PARTS_MAX],
  )
  const known = new Set(there.map(({ part }) => part))
  const count = countParts(row.bytes, row.part_bytes)
  return Array.from({ length: count }, (_, i) => i + 1).filter((part) => !known.has(part))
}

/** The upload of an account, if it goes on. */
export async function findUpload(tx: Transaction, uid: string, id: string): Promise<MediaRow | undefined> {
  const account = await tx.findAccount(uid)
  if (account === undefined) return undefined
  return tx.first<MediaRow>(
    `select ${MEDIA_COLUMNS} from media where id = $1 and account = $2 and state = 'uploading'`,
    [id, account],
  )
}

// ---------------------------------------------------------------- who may see a file

/** A file that a person may see: their own, one of a message that they may see, or an avatar. */
export async function findVisible(tx: Transaction, uid: string, id: string): Promise<MediaRow | undefined> {
  const account = await tx.findAccount(uid)
  if (account === undefined) return undefined
  const row = await tx.first<MediaRow>(
    `select ${MEDIA_COLUMNS} from media where id = $1 and state <> 'deleted'`,
    [id],
  )
  if (row === undefined) return undefined
  if (row.account === account && row.retired_at === null) return row
  if (row.state !== 'ready') return undefined
  return (await isInVisibleMessage(tx, account, id)) || (await isAvatar(tx, row)) ? row : undefined
}

/** A message that moderation withheld is there for its author alone, a file that an edit brought for who was in then. */
async function isInVisibleMessage(tx: Transaction, account: number, id: string): Promise<boolean> {
  const use = await tx.first(
    `select 1 from media_use as carried
     join membership on membership.account = $2 and membership.log = carried.log
       and carried.seq >= membership.from_seq and (membership.to_seq is null or carried.seq <= membership.to_seq)
     join entry on entry.log = carried.log and entry.seq = carried.seq
     where carried.media = $1 and (entry.kind = 'message' or entry.account = $2) and ${sawContent(tx, '$2', 'entry')}
       and not exists (
         select 1 from hidden
         where hidden.account = $2 and hidden.log = carried.log and hidden.seq = carried.seq)
       and not exists (
         select 1 from conversation_state as kept
         where kept.account = $2 and kept.log = carried.log and kept.cleared_seq >= carried.seq)
     limit 1`,
    [id, account],
  )
  return use !== undefined
}

/** An avatar is its owner's ({@link assertOwnAvatar}); it counts in their own profile, and in a group that they were in. */
async function isAvatar(tx: Transaction, { id, account }: MediaRow): Promise<boolean> {
  const shown = await tx.first(
    `select 1 from profile where avatar = $1 and account = $2
     union all
     select 1 from chat_group join membership on membership.log = chat_group.log
     where chat_group.avatar = $1 and membership.account = $2
     limit 1`,
    [id, account],
  )
  return shown !== undefined
}

/**
 * An avatar is seen by everybody: only the owner of a file makes it one. Refuses `unknown_media` for a file of somebody
 * else; what is no file of this server, such as an address on the web, is nobody's.
 */
export async function assertOwnAvatar(
  tx: Transaction,
  account: number,
  avatar: string | null | undefined,
): Promise<void> {
  if (avatar === null || avatar === undefined) return
  const foreign = await tx.first('select 1 from media where id = $1 and account <> $2', [avatar, account])
  if (foreign !== undefined) throw new WochatError('unknown_media')
}

// ---------------------------------------------------------------- what shows a file

/** Those of some files that nothing shows: no message, no profile, no group, and no message that is to be sent later. */
export async function findUnused(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return []
  const rows = await tx.query<{ id: string }>(
    `select id from media where id in ${tx.list('$1', 'text')}
       and not exists (select 1 from media_use where media_use.media = media.id)
       and not exists (select 1 from profile where profile.avatar = media.id)
       and not exists (select 1 from chat_group where chat_group.avatar = media.id)
       and not exists (
         select 1 from scheduled_send
         where scheduled_send.account = media.account and scheduled_send.body like '%' || media.id || '%')
     order by id`,
    [ids],
  )
  return rows.map(({ id }) => id)
}
