/**
 * The signing keys of our own access tokens, and the pepper of login codes: one file in the data folder, readable by
 * its owner only, always replaced as a whole.
 *
 * One key signs. The ones before it still verify until their end time; of those only the public half is kept.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair as generateKeyPairWithCallback,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

export type KeyAlgorithm = 'RS256' | 'ES256'

/** 2048 bits verify at 33,000/s a core; 3072 would halve that. */
const RSA_BITS = 2048
const FILE = 'keyring.json'
/** A token with an unknown key makes the file be read again, at most this often. */
const RELOAD_EVERY_MS = 1000

const generateKeyPair = promisify(generateKeyPairWithCallback)

type StoredKey = {
  kid: string
  alg: KeyAlgorithm
  createdAt: number
  /** When tokens of this key are no longer taken; null for the key that signs. */
  endsAt: number | null
  publicKey: string
  /** Only of the key that signs. */
  privateKey: string | null
}

type Stored = { version: 1; codePepper: string; keys: StoredKey[] }

export type SigningKey = { kid: string; alg: KeyAlgorithm; privateKey: KeyObject; createdAt: number }
export type VerifyKey = { kid: string; alg: KeyAlgorithm; publicKey: KeyObject; endsAt: number | null }
export type Jwks = { keys: JsonWebKey[] }

/** There is no usable key file. The message names the path and is for the operator. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError'
}

export type KeyringSettings = {
  /** `{dataDir}/keys`. */
  dir: string
  alg: KeyAlgorithm
  /** How long a key still verifies after the next one took over: at least the life of an access token. */
  keepMs: number
  now?: () => number
}

export class Keyring {
  readonly #dir: string
  readonly #now: () => number
  #stored: Stored
  #signing: SigningKey
  #verify: Map<string, VerifyKey>
  #reloadedAt = Number.NEGATIVE_INFINITY
  #writing: Promise<void> = Promise.resolve()

  private constructor(dir: string, stored: Stored, now: () => number) {
    this.#dir = dir
    this.#now = now
    this.#stored = stored
    this.#signing = signingKeyOf(stored)
    this.#verify = verifyKeysOf(stored)
  }

  /** For the server: makes folder and file when they are not there, and a new key when the algorithm was changed. */
  static async open(settings: KeyringSettings): Promise<Keyring> {
    const now = settings.now ?? Date.now
    await mkdir(settings.dir, { recursive: true, mode: 0o700 })
    await chmod(settings.dir, 0o700)
    const stored = (await readStored(settings.dir)) ?? (await createStored(settings.dir, settings.alg, now()))
    await chmod(join(settings.dir, FILE), 0o600)
    const keyring = new Keyring(settings.dir, stored, now)
    if (keyring.signing.alg !== settings.alg) await keyring.rotate(settings)
    return keyring
  }

  /** For tools beside a running server: reads, and changes nothing. Rejects with {@link KeyringError} without a file. */
  static async read(dir: string, now: () => number = Date.now): Promise<Keyring> {
    const stored = await readStored(dir)
    if (stored === undefined) {
      throw new KeyringError(
        `${join(dir, FILE)}: there is no signing key; the first start of the server makes it`,
      )
    }
    return new Keyring(dir, stored, now)
  }

  get signing(): SigningKey {
    return this.#signing
  }

  /** Secret of the hashes of login codes, which alone are too short to be safe as hashes. */
  get codePepper(): Buffer {
    return Buffer.from(this.#stored.codePepper, 'base64')
  }

  /** The key of a token, if it is still valid. An unknown one may be another process's new key: the file is read again. */
  async findVerifyKey(kid: string): Promise<VerifyKey | undefined> {
    if (!this.#verify.has(kid)) await this.#reload()
    const key = this.#verify.get(kid)
    return key !== undefined && (key.endsAt === null || key.endsAt > this.#now()) ? key : undefined
  }

  /** The public halves of all valid keys [RFC 7517]. */
  jwks(): Jwks {
    const valid = [...this.#verify.values()].filter(({ endsAt }) => endsAt === null || endsAt > this.#now())
    return {
      keys: valid.map(({ kid, alg, publicKey }) => ({
        ...publicKey.export({ format: 'jwk' }),
        kid,
        alg,
        use: 'sig',
      })),
    }
  }

  /**
   * Makes a new signing key; the present one verifies for `keepMs` more. Only the process that owns the data folder
   * may do so.
   */
  rotate({ alg, keepMs }: { alg: KeyAlgorithm; keepMs: number }): Promise<void> {
    const rotated = this.#writing.then(() => this.#rotate(alg, keepMs))
    // The next rotation waits for this one, whatever becomes of it.
    this.#writing = rotated.catch(() => undefined)
    return rotated
  }

  async #rotate(alg: KeyAlgorithm, keepMs: number): Promise<void> {
    const now = this.#now()
    const previous = this.#stored.keys
      .filter(({ endsAt }) => endsAt === null || endsAt > now)
      .map((key) => ({ ...key, endsAt: key.endsAt ?? now + keepMs, privateKey: null }))
    const stored: Stored = { ...this.#stored, keys: [await generateKey(alg, now), ...previous] }
    const temporary = await writeTemporary(this.#dir, stored)
    await rename(temporary, join(this.#dir, FILE))
    await syncFolder(this.#dir)
    this.#use(stored)
  }

  async #reload(): Promise<void> {
    const now = performance.now()
    if (now - this.#reloadedAt < RELOAD_EVERY_MS) return
    this.#reloadedAt = now
    const stored = await readStored(this.#dir)
    if (stored !== undefined) this.#use(stored)
  }

  #use(stored: Stored): void {
    this.#stored = stored
    this.#signing = signingKeyOf(stored)
    this.#verify = verifyKeysOf(stored)
  }
}

function signingKeyOf({ keys }: Stored): SigningKey {
  const { kid, alg, privateKey, createdAt } = keys.find((key) => key.privateKey !== null)!
  return { kid, alg, createdAt, privateKey: createPrivateKey(privateKey!) }
}

function verifyKeysOf({ keys }: Stored): Map<string, VerifyKey> {
  return new Map(
    keys.map(({ kid, alg, publicKey, endsAt }) => [
      kid,
      { kid, alg, publicKey: createPublicKey(publicKey), endsAt },
    ]),
  )
}

/** In a thread of its own: a pair of RSA keys takes some 100 ms. */
async function generateKey(alg: KeyAlgorithm, now: number): Promise<StoredKey> {
  const { publicKey, privateKey } =
    alg === 'RS256'
      ? await generateKeyPair('rsa', { modulusLength: RSA_BITS })
      : await generateKeyPair('ec', { namedCurve: 'P-256' })
  return {
    kid: randomBytes(12).toString('base64url'),
    alg,
    createdAt: now,
    endsAt: null,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

// ---------------------------------------------------------------- the file

async function readStored(dir: string): Promise<Stored | undefined> {
  const path = join(dir, FILE)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new KeyringError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  return parseStored(text, path)
}

function parseStored(text: string, path: string): Stored {
  try {
    const stored = JSON.parse(text) as Stored
    if (stored.version !== 1) throw new Error('unknown version')
    signingKeyOf(stored)
    return stored
  } catch {
    // The cause may quote the text, which is secret.
    throw new KeyringError(`${path}: is damaged; put its backup back, or remove it to make new keys`)
  }
}

async function createStored(dir: string, alg: KeyAlgorithm, now: number): Promise<Stored> {
  const stored: Stored = {
    version: 1,
    codePepper: randomBytes(32).toString('base64'),
    keys: [await generateKey(alg, now)],
  }
  const temporary = await writeTemporary(dir, stored)
  try {
    // A link, unlike a rename, never replaces the file of a process that was quicker.
    await link(temporary, join(dir, FILE))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readStored(dir))!
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(dir)
  return stored
}

async function writeTemporary(dir: string, stored: Stored): Promise<string> {
  const path = join(dir, `.${FILE}.${process.pid}.${randomBytes(6).toString('hex')}`)
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(stored, null, 2)}\n`)
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
