/**
 * Files in a folder of this machine, or in one that nodes share. They are spread over 256 folders by the last two
 * digits of their id. A file is written beside its place, brought to disk, and then takes its name at once.
 */
import { randomBytes } from 'node:crypto'
import { constants, createReadStream, createWriteStream, type Stats } from 'node:fs'
import { access, mkdir, open, readdir, rename, rm, rmdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { WochatError } from '../../protocol/errors.ts'
import { type MediaStorage, MissingObjectError, type StoredObject } from './storage.ts'

/** What is being written; what stays here longer than a write can take is of a process that died. */
const UNFINISHED = 'unfinished'
const KINDS = ['files', 'parts', 'thumbs', UNFINISHED]
const SHARDS = 256
const NAME = /^(files|thumbs|parts)\/([0-9a-f]{32})(\/\d{1,5})?$/

type FolderSettings = {
  folder: string
  /** Below this much free disk nothing is written. */
  diskReserveBytes: number
}

export function createFolderStorage({ folder, diskReserveBytes }: FolderSettings): MediaStorage {
  const pathOf = (name: string): string => join(folder, placeOf(name))

  async function assertRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(folder)
    if (bavail * bsize < diskReserveBytes + bytes) throw new WochatError('store_full')
  }

  return {
    async write(name, bytes, body) {
      const path = pathOf(name)
      const unfinished = join(folder, UNFINISHED, randomBytes(12).toString('hex'))
      try {
        await mkdir(dirname(unfinished), { recursive: true, mode: 0o700 })
        await assertRoom(bytes)
        await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        await pipeline(body, createWriteStream(unfinished, { flush: true, mode: 0o600 }))
        await rename(unfinished, path)
        await syncFolder(dirname(path))
      } catch (error) {
        body.destroy()
        await rm(unfinished, { force: true })
        throw (error as NodeJS.ErrnoException).code === 'ENOSPC'
          ? new WochatError('store_full', undefined, { cause: error })
          : error
      }
    },

    async read(name, range) {
      const stream = createReadStream(pathOf(name), range ?? {})
      await opened(stream, name)
      return stream
    },

    async remove(name) {
      const path = pathOf(name)
      await rm(path, { force: true })
      if (name.startsWith('parts/')) await removeIfEmpty(dirname(path))
    },

    /** A page is one of the folders that files are spread over. */
    async list(after) {
      const page = after === null ? 0 : Number(after)
      const kind = KINDS[Math.floor(page / SHARDS)]!
      const shard = (page % SHARDS).toString(16).padStart(2, '0')
      const objects =
        kind === UNFINISHED ? await listUnfinished(folder) : await listShard(folder, kind, shard)
      const isLast = kind === UNFINISHED
      return { objects, after: isLast ? null : String(page + 1) }
    },

    async check() {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    },

    async [Symbol.asyncDispose]() {},
  }
}

/** `files/0123...ef` is at `files/ef/0123...ef`. */
function placeOf(name: string): string {
  if (name.startsWith(`${UNFINISHED}/`)) return join(UNFINISHED, name.slice(UNFINISHED.length + 1))
  const [, kind, id, part = ''] = NAME.exec(name) ?? []
  if (kind === undefined || id === undefined) throw new Error(`${name} names nothing in storage`)
  return join(kind, id.slice(-2), id, part.slice(1))
}

function opened(stream: ReturnType<typeof createReadStream>, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('open', () => resolve())
    stream.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? new MissingObjectError(name, { cause: error }) : error)
    })
  })
}

/** So that the new name survives a loss of power, too. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Another part may come at the same moment; then the folder stays. */
async function removeIfEmpty(path: string): Promise<void> {
  await rmdir(path).catch(() => {})
}

// ---------------------------------------------------------------- listing

async function listShard(folder: string, kind: string, shard: string): Promise<StoredObject[]> {
  const ids = await namesIn(join(folder, kind, shard))
  const names: string[] = []
  for (const id of ids) {
    if (kind !== 'parts') names.push(`${kind}/${id}`)
    else for (const part of await namesIn(join(folder, kind, shard, id))) names.push(`${kind}/${id}/${part}`)
  }
  return datedNames(
    folder,
    names.filter((name) => NAME.test(name)),
  )
}

async function listUnfinished(folder: string): Promise<StoredObject[]> {
  const names = await namesIn(join(folder, UNFINISHED))
  return datedNames(
    folder,
    names.map((name) => `${UNFINISHED}/${name}`),
  )
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

async function datedNames(folder: string, names: readonly string[]): Promise<StoredObject[]> {
  const objects: StoredObject[] = []
  for (const name of names) {
    const found: Stats | null = await stat(join(folder, placeOf(name))).catch((error: unknown) => {
      if (isGone(error)) return null
      throw error
    })
    if (found !== null) objects.push({ name, at: found.mtimeMs })
  }
  return objects
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}
