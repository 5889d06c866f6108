/**
 * The keyring as one file in the data folder, readable by its owner only, always replaced as a whole. Any process may
 * read it; only the one that owns the data folder may change it.
 */
import { createPrivateKey, randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { KeyringError, type KeyStorage, type StoredKeyring } from './key-storage.ts'

const FILE = 'keyring.json'

/** `dir` is `{dataDir}/keys`. */
export function createKeyFile(dir: string): KeyStorage {
  return {
    place: join(dir, FILE),
    noticeMs: 0,
    load: () => readKeyring(dir),
    async update(change) {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      await chmod(dir, 0o700)
      const stored = await readKeyring(dir)
      const changed = await change(stored)
      const kept = changed === null ? stored! : await writeKeyring(dir, changed, stored === undefined)
      await chmod(join(dir, FILE), 0o600)
      return kept
    },
  }
}

async function readKeyring(dir: string): Promise<StoredKeyring | undefined> {
  const path = join(dir, FILE)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new KeyringError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  try {
    const stored = JSON.parse(text) as StoredKeyring
    if (stored.version !== 1) throw new Error('unknown version')
    createPrivateKey(stored.keys.find(({ privateKey }) => privateKey !== null)!.privateKey!)
    return stored
  } catch {
    // The cause may quote the text, which is secret.
    throw new KeyringError(`${path}: is damaged; put its backup back, or remove it to make new keys`)
  }
}

/** Answers what is in the file then: as the first keyring, that of a process that was quicker stays. */
async function writeKeyring(dir: string, keyring: StoredKeyring, isFirst: boolean): Promise<StoredKeyring> {
  const temporary = await writeTemporary(dir, keyring)
  try {
    // A link, unlike a rename, never replaces a file.
    if (isFirst) await link(temporary, join(dir, FILE))
    else await rename(temporary, join(dir, FILE))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readKeyring(dir))!
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(dir)
  return keyring
}

async function writeTemporary(dir: string, keyring: StoredKeyring): Promise<string> {
  const path = join(dir, `.${FILE}.${process.pid}.${randomBytes(6).toString('hex')}`)
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(keyring, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  return path
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
