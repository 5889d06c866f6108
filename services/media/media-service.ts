/**
 * Files between storage and the store. Bytes come first and rows follow, so that a row never promises what is not
 * there; what a crash leaves in storage without a row, the sweep removes ({@link file://./media-sweep.ts}).
 */
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { WochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import type { OperationStore } from '../store/contract.ts'
import type { MediaView } from '../store/operations/media/rows.ts'
import type { FoundMedia } from '../store/operations/media/tasks.ts'
import { createDigestGuard, createSizeGuard, feed } from './bytes.ts'
import { IMAGE_BYTES_MAX, type Imaging } from './images.ts'
import {
  type ByteRange,
  fileName,
  type MediaStorage,
  MissingObjectError,
  partName,
  thumbnailName,
} from './storage.ts'
import { DECODED, decideType, SNIFFED_BYTES } from './types.ts'

type MediaParts = {
  store: Pick<OperationStore, 'perform'>
  storage: MediaStorage
  imaging: Imaging
}

/** `bytes` is the size that the sender tells of the body; NaN where it does not. */
type PartUpload = { uid: UserId; id: string; part: number; bytes: number; body: Readable }

export interface MediaService {
  /**
   * Stores one part, which `body` must bring in its exact size; again is allowed. Refuses `unknown_media` for what is
   * no unfinished upload of this person, and `bad_request` for a part or a size that it does not have.
   */
  putPart(upload: PartUpload): Promise<void>
  /** See `media.complete` in the catalogue. Calls for the same file at once are one. */
  complete(uid: UserId, id: string): Promise<MediaView>
  /** What a person may see of a file that is ready. Refuses `unknown_media`. */
  find(uid: UserId, id: string): Promise<MediaView>
  read(id: string, range?: ByteRange): Promise<Readable>
  readThumbnail(id: string): Promise<Readable>
}

type Upload = Required<MediaView>

export function createMediaService({ store, storage, imaging }: MediaParts): MediaService {
  const completing = new Map<string, Promise<MediaView>>()

  async function complete(uid: UserId, id: string): Promise<MediaView> {
    const upload = await store.perform({ task: 'findUpload', input: { uid, id } })
    if (upload === null) return find(uid, id)
    if (upload.parts.length > 0)
      throw new WochatError('media_incomplete', undefined, { details: { parts: upload.parts } })
    await assemble(upload)
    const found = await examine(upload)
    const view = await store.perform({ task: 'finishUpload', input: { uid, id, ...found } })
    await removeParts(upload)
    return view
  }

  /** Makes one file of the parts, which is there only if it has the declared digest. */
  async function assemble(upload: Upload): Promise<void> {
    const { id, bytes } = upload
    const guard = createDigestGuard(upload.sha256)
    try {
      // What it fails by, the guard fails by, and so does who reads from the guard.
      pipeline(readParts(upload), guard).catch(() => {})
      await storage.write(fileName(id), bytes, guard, upload.sha256)
    } catch (error) {
      guard.destroy()
      const isMissing = error instanceof MissingObjectError
      const isWrong = error instanceof WochatError && error.code === 'media_mismatch'
      if (isMissing || isWrong) await store.perform({ task: 'restartUpload', input: { id } })
      if (!isMissing) throw error
      const details = { parts: numbersOf(upload) }
      throw new WochatError('media_incomplete', undefined, { details, cause: error })
    }
  }

  async function* readParts(upload: Upload): AsyncGenerator<Buffer> {
    for (const part of numbersOf(upload)) yield* await storage.read(partName(upload.id, part))
  }

  /** What the bytes are. A file that is refused is gone. */
  async function examine({ id, bytes, type: declared }: Upload): Promise<FoundMedia> {
    try {
      const end = Math.min(bytes, SNIFFED_BYTES) - 1
      const type = await decideType(
        await buffer(await storage.read(fileName(id), { start: 0, end })),
        declared,
      )
      const image =
        DECODED.has(type) && bytes <= IMAGE_BYTES_MAX
          ? await imaging.examine(await buffer(await storage.read(fileName(id))))
          : null
      if (image === null) return { type, width: null, height: null, thumbnail: false }
      const { thumbnail, ...size } = image
      if (thumbnail !== null)
        await storage.write(thumbnailName(id), thumbnail.length, Readable.from([thumbnail]))
      return { type, ...size, thumbnail: thumbnail !== null }
    } catch (error) {
      if (error instanceof WochatError && error.code === 'media_refused')
        await store.perform({ task: 'refuseUpload', input: { id } })
      throw error
    }
  }

  /** The file is ready; parts that stay behind are found by the sweep. */
  async function removeParts(upload: Upload): Promise<void> {
    for (const part of numbersOf(upload)) {
      try {
        await storage.remove(partName(upload.id, part))
      } catch {
        return
      }
    }
  }

  async function find(uid: UserId, id: string): Promise<MediaView> {
    const view = await store.perform({ task: 'findMedia', input: { uid, id } })
    if (view?.state !== 'ready') throw new WochatError('unknown_media')
    return view
  }

  return {
    async putPart({ uid, id, part, bytes: told, body }) {
      const upload = await store.perform({ task: 'findUpload', input: { uid, id } })
      if (upload === null) throw new WochatError('unknown_media')
      const bytes = sizeOfPart(upload, part)
      // Looked at before the body is: so its sender hears of it at once.
      if (told !== bytes)
        throw new WochatError('bad_request', `content-length: part ${part} has ${bytes} bytes`)
      const guard = createSizeGuard(bytes)
      feed(body, guard)
      await storage.write(partName(id, part), bytes, guard)
      await store.perform({ task: 'keepMediaPart', input: { uid, id, part, bytes } })
    },

    complete(uid, id) {
      const key = `${id} ${uid}`
      const running = completing.get(key) ?? complete(uid, id).finally(() => completing.delete(key))
      completing.set(key, running)
      return running
    },

    find,
    read: (id, range) => storage.read(fileName(id), range),
    readThumbnail: (id) => storage.read(thumbnailName(id)),
  }
}

const countOf = ({ bytes, partBytes }: Upload): number => Math.ceil(bytes / partBytes)
const numbersOf = (upload: Upload): number[] => Array.from({ length: countOf(upload) }, (_, i) => i + 1)

function sizeOfPart(upload: Upload, part: number): number {
  const count = countOf(upload)
  if (!Number.isInteger(part) || part < 1 || part > count)
    throw new WochatError('bad_request', `part: from 1 to ${count}`)
  return part < count ? upload.partBytes : upload.bytes - upload.partBytes * (count - 1)
}
