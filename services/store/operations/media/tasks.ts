/** What the media service asks of the store beside the operations of the catalogue. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { Transaction } from '../transaction.ts'
import { describe } from './media.ts'
import {
  findUpload as findOwnUpload,
  findUnused,
  findVisible,
  MEDIA_COLUMNS,
  MEDIA_PARTS_MAX,
  type MediaRow,
  type MediaView,
  viewOf,
} from './rows.ts'

type Named = { uid: string; id: string }

/** What a file was found to be when its upload was complete. */
export type FoundMedia = {
  type: string
  width: number | null
  height: number | null
  thumbnail: boolean
}

/** A file whose bytes are to be removed. */
export type DoomedMedia = { id: string; parts: number[] }

/** Where a walk over the ready files goes on; from the beginning with `{madeAt: 0, id: ''}`. */
export type MediaCursor = { madeAt: number; id: string }

export const mediaTasks = {
  /** The file, if this person may see it. */
  async findMedia(tx: Transaction, { uid, id }: Named): Promise<MediaView | null> {
    const row = await findVisible(tx, uid, id)
    return row === undefined ? null : describe(tx, row)
  },

  /** An upload that goes on; null for any other file. */
  async findUpload(tx: Transaction, { uid, id }: Named): Promise<Required<MediaView> | null> {
    const row = await findOwnUpload(tx, uid, id)
    return row === undefined ? null : ((await describe(tx, row)) as Required<MediaView>)
  },

  /** Notes that a part is in storage. Refuses `unknown_media` when the upload has ended meanwhile. */
  async keepMediaPart(
    tx: Transaction,
    { uid, id, part, bytes }: Named & { part: number; bytes: number },
  ): Promise<void> {
    const row = await findOwnUpload(tx, uid, id)
    if (row === undefined) throw new WochatError('unknown_media')
    await tx.query(
      `insert into media_part (media, part, bytes) values ($1, $2, $3)
       on conflict (media, part) do update set bytes = excluded.bytes`,
      [id, part, bytes],
    )
  },

  /** The parts were not what was declared: all are to be sent again. */
  async restartUpload(tx: Transaction, { id }: { id: string }): Promise<void> {
    await tx.query('delete from media_part where media = $1', [id])
  },

  /** The whole file is in storage. One that was ready before stays as it is. Refuses `unknown_media`. */
  async finishUpload(
    tx: Transaction,
    { uid, id, type, width, height, thumbnail }: Named & FoundMedia,
  ): Promise<MediaView> {
    const row = await findVisible(tx, uid, id)
    if (row === undefined) throw new WochatError('unknown_media')
    if (row.state === 'ready') return viewOf(row)
    const [ready] = await tx.query<MediaRow>(
      `update media set state = 'ready', type = $2, width = $3, height = $4, thumbnail = $5, ready_at = $6
       where id = $1 and state = 'uploading' returning ${MEDIA_COLUMNS}`,
      [id, type, width, height, thumbnail ? 1 : 0, tx.now],
    )
    if (ready === undefined) throw new WochatError('unknown_media')
    await tx.query('delete from media_part where media = $1', [id])
    return viewOf(ready)
  },

  /** The file is not taken. */
  async refuseUpload(tx: Transaction, { id }: { id: string }): Promise<void> {
    await tx.query(`update media set state = 'deleted' where id = $1 and state = 'uploading'`, [id])
  },

  /**
   * One step of the search for files to remove: ends old uploads, retires files that nothing shows, and dooms those
   * that were retired for a while and still are not shown. Gives what is to be removed from storage now.
   */
  async sweepMedia(
    tx: Transaction,
    input: {
      after: MediaCursor
      uploadsBefore: number
      unusedBefore: number
      retiredBefore: number
      limit: number
    },
  ): Promise<{ doomed: DoomedMedia[]; after: MediaCursor | null }> {
    const { after, uploadsBefore, unusedBefore, retiredBefore, limit } = input
    await endUploads(tx, uploadsBefore, limit)
    await doomRetired(tx, retiredBefore, limit)
    const next = await retireUnused(tx, after, unusedBefore, limit)
    const doomed = await listDoomed(tx, limit)
    return { doomed, after: next }
  },

  /** The bytes of these files are gone from storage. */
  async forgetMedia(tx: Transaction, { ids }: { ids: readonly string[] }): Promise<void> {
    for (const id of ids) {
      await tx.query('delete from media_part where media = $1', [id])
      await tx.query(`delete from media where id = $1 and state = 'deleted'`, [id])
    }
  },

  /** Those of some ids that the store knows, with their states. */
  async knownMedia(
    tx: Transaction,
    { ids }: { ids: readonly string[] },
  ): Promise<{ id: string; state: string }[]> {
    return tx.query<{ id: string; state: string }>(
      `select id, state from media where id in ${tx.list('$1', 'text')}`,
      [ids],
    )
  },
} as const

// ---------------------------------------------------------------- the steps of a sweep

async function endUploads(tx: Transaction, before: number, limit: number): Promise<void> {
  await tx.query(
    `update media set state = 'deleted' where id in (
       select id from media where state = 'uploading' and made_at < $1 order by made_at, id limit $2)`,
    [before, limit],
  )
}

/** With the parts that were stored of an unfinished upload. */
async function listDoomed(tx: Transaction, limit: number): Promise<DoomedMedia[]> {
  const rows = await tx.query<{ id: string }>(
    `select id from media where state = 'deleted' order by made_at, id limit $1`,
    [limit],
  )
  const doomed: DoomedMedia[] = []
  for (const { id } of rows) {
    const parts = await tx.query<{ part: number }>(
      'select part from media_part where media = $1 order by part limit $2',
      [id, MEDIA_PARTS_MAX],
    )
    doomed.push({ id, parts: parts.map(({ part }) => part) })
  }
  return doomed
}

/** A message that was on its way when a file was retired has it back. */
async function doomRetired(tx: Transaction, before: number, limit: number): Promise<void> {
  const rows = await tx.query<{ id: string }>(
    `select id from media where retired_at is not null and retired_at < $1 order by retired_at, id limit $2`,
    [before, limit],
  )
  if (rows.length === 0) return
  const ids = rows.map(({ id }) => id)
  const unused = await findUnused(tx, ids)
  await tx.query(`update media set retired_at = null where id in ${tx.list('$1', 'text')}`, [ids])
  await tx.query(`update media set state = 'deleted' where id in ${tx.list('$1', 'text')}`, [unused])
}

/** Looks at one page of the ready files, the oldest first; gives where the next begins, null after the last. */
async function retireUnused(
  tx: Transaction,
  after: MediaCursor,
  before: number,
  limit: number,
): Promise<MediaCursor | null> {
  const rows = await tx.query<{ id: string; made_at: number; ready_at: number }>(
    `select id, made_at, ready_at from media
     where state = 'ready' and (made_at, id) > ($1, $2) and made_at < $3 order by made_at, id limit $4`,
    [after.madeAt, after.id, before, limit],
  )
  const old = rows.filter((row) => row.ready_at < before).map(({ id }) => id)
  const unused = await findUnused(tx, old)
  await tx.query(
    `update media set retired_at = $2 where id in ${tx.list('$1', 'text')} and retired_at is null`,
    [unused, tx.now],
  )
  const last = rows.at(-1)
  return rows.length < limit || last === undefined ? null : { madeAt: last.made_at, id: last.id }
}
