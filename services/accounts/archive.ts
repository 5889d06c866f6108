/** Everything that is a person's own as one archive: a .tar.gz of JSON lines and files, written while it is read. */
import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { UserId } from '../../protocol/ids.ts'
import type { MediaService } from '../media/media-service.ts'
import type { Store } from '../store/contract.ts'
import {
  EXPORT_PARTS,
  type ExportCursor,
  type ExportedFile,
  type ExportPart,
} from '../store/operations/accounts/export.ts'
import { TAR_END, tarFile, tarHeader, tarPadding } from './tar.ts'

/** A file of lines ends when it is this long; a part goes on in the next. So much is in memory at a time. */
const FILE_BYTES = 1024 * 1024
/** What is written at a time in place of bytes that could not be read. */
const ZEROS = Buffer.alloc(64 * 1024)

type ArchiveSources = { store: Pick<Store, 'perform'>; media: Pick<MediaService, 'read'> }

export type Archives = {
  /** The archive of a person as a stream, which reads from store and storage only as fast as it is read itself. */
  of(uid: UserId): Readable
}

export function createArchives(sources: ArchiveSources): Archives {
  return { of: (uid) => createArchive(sources, uid) }
}

function createArchive(sources: ArchiveSources, uid: UserId): Readable {
  const gzip = createGzip()
  // A failure destroys the archive, whose reader sees it; a reader who goes away ends the reading.
  pipeline(Readable.from(tarOf(sources, uid), { objectMode: false }), gzip, () => {})
  return gzip
}

async function* tarOf({ store, media }: ArchiveSources, uid: UserId): AsyncGenerator<Buffer> {
  const at = Date.now()
  const manifest = { uid, exportedAt: at, parts: EXPORT_PARTS }
  yield tarFile('manifest.json', Buffer.from(`${JSON.stringify(manifest)}\n`), at)
  for (const part of EXPORT_PARTS) yield* tarOfLines(part, itemsOf(store, uid, part), at)
  const unread: FileError[] = []
  for await (const file of itemsOf(store, uid, 'media')) {
    const error = yield* tarOfMedia(media, file as ExportedFile, at)
    if (error !== null) unread.push({ id: (file as ExportedFile).id, error })
  }
  yield* tarOfLines('media-errors', unread, at)
  yield TAR_END
}

async function* itemsOf(
  store: ArchiveSources['store'],
  uid: UserId,
  part: ExportPart,
): AsyncGenerator<object> {
  let after: ExportCursor | null = null
  do {
    const page: { items: object[]; next: ExportCursor | null } = await store.perform({
      task: 'exportPage',
      input: { uid, part, after },
    })
    yield* page.items
    after = page.next
  } while (after !== null)
}

/** Items, one a line, in files of bounded size; none when there are no items. */
async function* tarOfLines(
  name: string,
  items: AsyncIterable<object> | Iterable<object>,
  at: number,
): AsyncGenerator<Buffer> {
  let number = 0
  let lines: Buffer[] = []
  let bytes = 0
  const takeFile = (): Buffer => {
    number++
    const file = tarFile(`${name}-${String(number).padStart(5, '0')}.jsonl`, Buffer.concat(lines), at)
    lines = []
    bytes = 0
    return file
  }
  for await (const item of items) {
    const line = Buffer.from(`${JSON.stringify(item)}\n`)
    lines.push(line)
    bytes += line.length
    if (bytes >= FILE_BYTES) yield takeFile()
  }
  if (bytes > 0) yield takeFile()
}

// ---------------------------------------------------------------- files

/** `missing`: it is not in the archive; `cut`: what could not be read of it is zeros there. */
type FileError = { id: string; error: 'missing' | 'cut' }

/**
 * The bytes of one file, piece by piece. Its size comes first in a tar archive, so that a file which ends early is
 * filled up: the archive stays whole, and tells of it in `media-errors`.
 */
async function* tarOfMedia(
  media: ArchiveSources['media'],
  { id, bytes }: ExportedFile,
  at: number,
): AsyncGenerator<Buffer, FileError['error'] | null> {
  const content = await media.read(id).catch(() => null)
  if (content === null) return 'missing'
  yield tarHeader(`media/${id}`, bytes, at)
  let left = bytes
  try {
    for await (const piece of content as AsyncIterable<Buffer>) {
      const fitting = piece.subarray(0, left)
      left -= fitting.length
      if (fitting.length > 0) yield fitting
    }
  } catch {
    // Told by what is missing.
  }
  const isCut = left > 0
  for (; left > 0; left -= Math.min(left, ZEROS.length)) yield ZEROS.subarray(0, left)
  yield tarPadding(bytes)
  return isCut ? 'cut' : null
}
