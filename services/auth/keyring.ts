/**
 * The signing keys of our own access tokens, and the pepper of login codes, as they are kept in a {@link KeyStorage}.
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
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  type KeyAlgorithm,
  KeyringError,
  type KeyStorage,
  type StoredKey,
  type StoredKeyring,
} from './key-storage.ts'

export { type KeyAlgorithm, KeyringError } from './key-storage.ts'

/** 2048 bits verify at 33,000/s a core; 3072 would halve that. */
const RSA_BITS = 2048
/** Tokens with unknown keys make the keyring be read again, at most this often. */
const RELOAD_EVERY_MS = 500

const generateKeyPair = promisify(generateKeyPairWithCallback)

type SigningKey = { kid: string; alg: KeyAlgorithm; privateKey: KeyObject; createdAt: number }
type VerifyKey = { kid: string; alg: KeyAlgorithm; publicKey: KeyObject; endsAt: number | null }
export type Jwks = { keys: JsonWebKey[] }

type KeyringSettings = {
  storage: KeyStorage
  alg: KeyAlgorithm
  /** How long a key still verifies after the next one took over: at least the life of an access token. */
  keepMs: number
  now?: () => number
}

export class Keyring {
  readonly #storage: KeyStorage
  readonly #now: () => number
  #stored: StoredKeyring
  #signing: SigningKey
  #verify: Map<string, VerifyKey>
  /** The reading that is going on or about to begin. */
  #reloading: Promise<void> | null = null
  #reloadedAt = Number.NEGATIVE_INFINITY
  #writing: Promise<void> = Promise.resolve()

  private constructor(storage: KeyStorage, stored: StoredKeyring, now: () => number) {
    this.#storage = storage
    this.#now = now
    this.#stored = stored
    this.#signing = signingKeyOf(stored)
    this.#verify = verifyKeysOf(stored)
  }

  /** For the server: makes the keyring when there is none, and a new key when the algorithm was changed. */
  static async open({ storage, alg, keepMs, now = Date.now }: KeyringSettings): Promise<Keyring> {
    const stored = await storage.update(async (known) => (known ? null : await createKeyring(alg, now())))
    const keyring = new Keyring(storage, stored, now)
    if (keyring.signing.alg !== alg) await keyring.rotate({ alg, keepMs })
    return keyring
  }

  /** For tools beside a running server: reads, and changes nothing. Rejects with {@link KeyringError} when there is none. */
  static async read(storage: KeyStorage, now: () => number = Date.now): Promise<Keyring> {
    const stored = await storage.load()
    if (stored === undefined) {
      throw new KeyringError(
        `${storage.place}: there is no signing key; the first start of the server makes it`,
      )
    }
    return new Keyring(storage, stored, now)
  }

  get signing(): SigningKey {
    return this.#signing
  }

  /** Secret of the hashes of login codes, which alone are too short to be safe as hashes. */
  get codePepper(): Buffer {
    return Buffer.from(this.#stored.codePepper, 'base64')
  }

  /**
   * The key of a token, if it is still valid. An unknown one may be another process's new key: it waits until the
   * keyring has been read again.
   */
  async findVerifyKey(kid: string): Promise<VerifyKey | undefined> {
    if (!this.#verify.has(kid)) await this.reload()
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
   * Replaces the signing key; the present one verifies for `keepMs` more. When another process has replaced it
   * already, that one's key is taken.
   */
  rotate({ alg, keepMs }: { alg: KeyAlgorithm; keepMs: number }): Promise<void> {
    const rotated = this.#writing.then(() => this.#rotate(alg, keepMs))
    // The next rotation waits for this one, whatever becomes of it.
    this.#writing = rotated.catch(() => undefined)
    return rotated
  }

  /** Reads what other processes have stored, soon: readings that are asked for at once are one. */
  reload(): Promise<void> {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = null
    })
    return this.#reloading
  }

  async #rotate(alg: KeyAlgorithm, keepMs: number): Promise<void> {
    const endsAt = this.#now() + keepMs + this.#storage.noticeMs
    const stored = await this.#storage.update(async (known) => {
      if (known === undefined) return createKeyring(alg, this.#now())
      const signing = signingKeyOf(known)
      if (signing.kid !== this.#signing.kid && signing.alg === alg) return null
      const previous = known.keys
        .filter((key) => key.endsAt === null || key.endsAt > this.#now())
        .map((key) => ({ ...key, endsAt: key.endsAt ?? endsAt, privateKey: null }))
      return { ...known, keys: [await generateKey(alg, this.#now()), ...previous] }
    })
    this.#use(stored)
  }

  async #reload(): Promise<void> {
    const wait = this.#reloadedAt + RELOAD_EVERY_MS - performance.now()
    if (wait > 0) await sleep(wait)
    this.#reloadedAt = performance.now()
    const stored = await this.#storage.load()
    if (stored !== undefined) this.#use(stored)
  }

  #use(stored: StoredKeyring): void {
    this.#stored = stored
    this.#signing = signingKeyOf(stored)
    this.#verify = verifyKeysOf(stored)
  }
}

async function createKeyring(alg: KeyAlgorithm, now: number): Promise<StoredKeyring> {
  return {
    version: 1,
    codePepper: randomBytes(32).toString('base64'),
    keys: [await generateKey(alg, now)],
  }
}

function signingKeyOf({ keys }: StoredKeyring): SigningKey {
  const { kid, alg, privateKey, createdAt } = keys.find((key) => key.privateKey !== null)!
  return { kid, alg, createdAt, privateKey: createPrivateKey(privateKey!) }
}

function verifyKeysOf({ keys }: StoredKeyring): Map<string, VerifyKey> {
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
