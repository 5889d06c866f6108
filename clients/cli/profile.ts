/**
 * Logins that are kept between commands: `~/.config/wochat/{profile}.json`, mode 0600.
 *
 * A refresh token is good for one use, and a second use ends the login: commands that run at the same time take
 * turns by a lock file, and each looks first whether another one has refreshed already.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Result } from '../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../protocol/errors.ts'

export type Profile = Result<'auth.login'> & {
  /** The server that was logged in to. */
  url: string
  deviceId: string
}

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/
const LOCK_STALE_MS = 30_000
const LOCK_POLL_MS = 50

export function profilePath(name: string, home: string = homedir()): string {
  if (!NAME.test(name))
    throw new WochatError('bad_request', 'profile: letters, digits, ".", "_" and "-", at most 64')
  return join(home, '.config', 'wochat', `${name}.json`)
}

/** `undefined` when there is no such profile. */
export async function findProfile(path: string): Promise<Profile | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const profile = parseJson(text)
  for (const field of ['url', 'uid', 'deviceId', 'accessToken', 'refreshToken'] as const) {
    if (typeof profile?.[field] !== 'string') {
      throw new WochatError('bad_request', `${path} is not a profile; log in again`)
    }
  }
  return profile as Profile
}

function parseJson(text: string): Partial<Profile> | null {
  try {
    return JSON.parse(text) as Partial<Profile> | null
  } catch {
    return null
  }
}

/** Replaces the file at once, so that a reader never sees half of it. */
export async function saveProfile(path: string, profile: Profile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600, flush: true })
  await rename(draft, path)
}

export async function removeProfile(path: string): Promise<void> {
  await rm(path, { force: true })
}

/** Runs `work` while no other command holds the profile. */
export async function withProfileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`
  while (!(await takeLock(lock))) await sleep(LOCK_POLL_MS)
  try {
    return await work()
  } finally {
    await rm(lock, { force: true })
  }
}

async function takeLock(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx', 0o600)).close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  // Left by a command that was killed. Nobody holds it for longer than one call takes.
  const age = await stat(lock).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  )
  if (age > LOCK_STALE_MS) await rm(lock, { force: true })
  return false
}
