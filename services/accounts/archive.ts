/** Everything that is a person's own as one archive: a .tar.gz of JSON lines, written while it is read. */
import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { UserId } from '../../protocol/ids.ts'
import type { Store } from '../store/contract.ts'
import { EXPORT_PARTS, type ExportCursor, type ExportPart } from '../store/operations/account-export.ts'
import { TAR_END, tarFile } from './tar.ts'

/** A file of the archive ends when it is this long; a part goes on in the next. So much is in memory at a time. */
const FILE_BYTES = 1024 * 1024

type PagedStore = Pick<Store, 'perform'>

export type Archives = {
  /** The archive of a person as a stream, which reads from the store only as fast as it is read itself. */
  of(uid: UserId): Readable
}

export function createArchives(store: PagedStore): Archives {
  return { of: (uid) => createArchive(store, uid) }
}

function createArchive(store: PagedStore, uid: UserId): Readable {
  const gzip = createGzip()
  // A failure destroys the archive, whose reader sees it; a reader who goes away ends the reading.
  pipeline(Readable.from(tarOf(store, uid), { objectMode: false }), gzip, () => {})
  return gzip
}

async function* tarOf(store: PagedStore, uid: UserId): AsyncGenerator<Buffer> {
  const at = Date.now()
  const manifest = { uid, exportedAt: at, parts: EXPORT_PARTS }
  yield tarFile('manifest.json', Buffer.from(`${JSON.stringify(manifest)}\n`), at)
  for (const part of EXPORT_PARTS) {
    let number = 0
    for await (const content of filesOf(store, uid, part)) {
      number++
      yield tarFile(`${part}-${String(number).padStart(5, '0')}.jsonl`, content, at)
    }
  }
  yield TAR_END
}

/** The items of a part, one a line, in files of bounded size; none when there are no items. */
async function* filesOf(store: PagedStore, uid: UserId, part: ExportPart): AsyncGenerator<Buffer> {
  let lines: Buffer[] = []
  let bytes = 0
  let after: ExportCursor | null = null
  do {
    const page: { items: object[]; next: ExportCursor | null } = await store.perform({
      task: 'exportPage',
      input: { uid, part, after },
    })
    for (const item of page.items) {
      const line = Buffer.from(`${JSON.stringify(item)}\n`)
      lines.push(line)
      bytes += line.length
    }
    if (bytes >= FILE_BYTES) {
      yield Buffer.concat(lines)
      lines = []
      bytes = 0
    }
    after = page.next
  } while (after !== null)
  if (bytes > 0) yield Buffer.concat(lines)
}
