/**
 * Where the bytes of files are: a folder, or a bucket. Names are of three kinds, `parts/{id}/{n}`, `files/{id}` and
 * `thumbs/{id}`, and what they name never changes once it is there, except for a part that is sent again.
 */
import type { Readable } from 'node:stream'

/** Both ends included. */
export type ByteRange = { start: number; end: number }

/** Something in storage, and when it was written, ms since 1970. */
export type StoredObject = { name: string; at: number }

export interface MediaStorage extends AsyncDisposable {
  /**
   * Writes what `body` brings under a name. When it resolves all of it is durable; when it rejects, because the body
   * ended early or storage failed, what was there before is there still. A storage that checks digests refuses a body of
   * another `sha256`. Refuses `store_full` and `store_away`.
   */
  write(name: string, bytes: number, body: Readable, sha256?: string): Promise<void>
  /** Rejects with {@link MissingObjectError} when nothing is there. */
  read(name: string, range?: ByteRange): Promise<Readable>
  /** What is not there is no failure. */
  remove(name: string): Promise<void>
  /** A page of everything that is stored; `after` is null at the beginning and, in the answer, at the end. */
  list(after: string | null): Promise<{ objects: StoredObject[]; after: string | null }>
  /** Rejects when storage cannot be used, with what an operator should change. */
  check(): Promise<void>
}

export class MissingObjectError extends Error {
  override readonly name = 'MissingObjectError'
}

export const partName = (id: string, part: number): string => `parts/${id}/${part}`
export const fileName = (id: string): string => `files/${id}`
export const thumbnailName = (id: string): string => `thumbs/${id}`

/** The file that something in storage belongs to; undefined for what has no such name. */
export function idOfName(name: string): string | undefined {
  return /^(?:parts|files|thumbs)\/([0-9a-f]{32})(?:\/\d{1,5})?$/.exec(name)?.[1]
}

export const isPart = (name: string): boolean => name.startsWith('parts/')
