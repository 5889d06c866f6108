/**
 * Files of an account: uploads that are begun and gone on with, lists, quota. What needs the bytes, and what runs in
 * the background, is in services/media, over the tasks of tasks.ts.
 */
import { randomBytes } from 'node:crypto'
import { WochatError } from '../../../../protocol/errors.ts'
import { HTTP_ROUTES } from '../../../../protocol/http-routes.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { StoredPart } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import {
  countParts,
  findUnused,
  findVisible,
  MEDIA_COLUMNS,
  MEDIA_PARTS_MAX,
  type MediaRow,
  type MediaView,
  missingParts,
  viewOf,
} from './rows.ts'

/** Files of one account; the sum of their bytes is counted anew for each upload. */
const FILES_MAX = 10_000
const ID_BYTES = 16
const UNKNOWN_TYPE = 'application/octet-stream'

export const mediaOperations: StoredPart<'media.', 'media.complete' | 'media.link'> = {
  async 'media.create'(tx, { caller, name, type, bytes, sha256 }) {
    const { mediaBytesMax, mediaQuotaBytes, mediaPartBytes, mediaUploadsMax } = tx.policy
    if (bytes > mediaBytesMax) throw new WochatError('too_large', `bytes: more than ${mediaBytesMax}`)
    const account = await tx.ensureAccount(caller.uid)
    await tx.lockAccounts([account])
    const uploads = await tx.query<MediaRow>(
      `select ${MEDIA_COLUMNS} from media where account = $1 and state = 'uploading' order by made_at limit $2`,
      [account, mediaUploadsMax],
    )
    const same = uploads.find((row) => row.sha256 === sha256 && row.bytes === bytes)
    if (same !== undefined) return describeUpload(same.id, same.part_bytes, await missingParts(tx, same))
    if (uploads.length >= mediaUploadsMax) throw new WochatError('too_many_uploads')
    const used = await usageOf(tx, account)
    const exceeds = mediaQuotaBytes > 0 && used.bytes + bytes > mediaQuotaBytes
    if (exceeds || used.files >= FILES_MAX) throw new WochatError('media_quota')

    const id = randomBytes(ID_BYTES).toString('hex')
    const partBytes = Math.max(mediaPartBytes, Math.ceil(bytes / MEDIA_PARTS_MAX))
    await tx.query(
      `insert into media (id, account, state, name, type, bytes, sha256, part_bytes, made_at)
       values ($1, $2, 'uploading', $3, $4, $5, $6, $7, $8)`,
      [id, account, name ?? null, type ?? UNKNOWN_TYPE, bytes, sha256, partBytes, tx.now],
    )
    const parts = Array.from({ length: countParts(bytes, partBytes) }, (_, i) => i + 1)
    return describeUpload(id, partBytes, parts)
  },

  async 'media.get'(tx, { caller, id }) {
    const row = await findVisible(tx, caller.uid, id)
    if (row === undefined) throw new WochatError('unknown_media')
    return describe(tx, row)
  },

  async 'media.list'(tx, { caller, cursor, limit = LIST_ITEMS_DEFAULT }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [] }
    const [madeAt = Number.MAX_SAFE_INTEGER, id = ''] = cursor === undefined ? [] : parseCursor(cursor)
    const rows = await tx.query<MediaRow>(
      `select ${MEDIA_COLUMNS} from media
       where account = $1 and (made_at, id) < ($2, $3) and state <> 'deleted' and retired_at is null
       order by made_at desc, id desc limit $4`,
      [account, madeAt, id, limit + 1],
    )
    const items = rows.slice(0, limit)
    const last = items.at(-1)
    return {
      items: items.map(viewOf),
      ...(rows.length > limit && last !== undefined && { cursor: `${last.made_at}-${last.id}` }),
    }
  },

  /** What is shown somewhere is not the uploader's alone any more: its messages are recalled first. */
  async 'media.delete'(tx, { caller, id }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return {}
    await tx.lockAccounts([account])
    const row = await tx.first<{ state: string }>('select state from media where id = $1 and account = $2', [
      id,
      account,
    ])
    if (row?.state === 'uploading') {
      await tx.query(`update media set state = 'deleted' where id = $1`, [id])
    } else if (row?.state === 'ready') {
      if ((await findUnused(tx, [id])).length === 0) throw new WochatError('media_in_use')
      await tx.query('update media set retired_at = $2 where id = $1 and retired_at is null', [id, tx.now])
    }
    return {}
  },

  async 'media.usage'(tx, { caller }) {
    const account = await tx.findAccount(caller.uid)
    const used = account === undefined ? { bytes: 0, files: 0 } : await usageOf(tx, account)
    return { ...used, quotaBytes: tx.policy.mediaQuotaBytes, filesMax: FILES_MAX }
  },
}

/** A file with, of an upload, what is missing. */
export async function describe(tx: Transaction, row: MediaRow): Promise<MediaView> {
  if (row.state !== 'uploading') return viewOf(row)
  return { ...viewOf(row), partBytes: row.part_bytes, parts: await missingParts(tx, row) }
}

function describeUpload(id: string, partBytes: number, parts: number[]) {
  return { id, partBytes, parts, uploadUrl: HTTP_ROUTES['media.putPart'].path.replace('{id}', id) }
}

async function usageOf(tx: Transaction, account: number): Promise<{ bytes: number; files: number }> {
  const used = await tx.first<{ bytes: number; files: number }>(
    `select cast(coalesce(sum(bytes), 0) as bigint) as bytes, count(*) as files
     from media where account = $1 and state <> 'deleted' and retired_at is null`,
    [account],
  )
  return used!
}

function parseCursor(cursor: string): [number, string] {
  const [madeAt = '', id = ''] = cursor.split('-')
  return [Number(madeAt), id]
}
