/** The keys of a trusted issuer: a JWKS document [RFC 7517] in a file or behind a URL, kept and read again when needed. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { open } from 'node:fs/promises'

/** The one algorithm that a key may be used with. */
type ExternalAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'

type IssuerKey = { alg: ExternalAlgorithm; publicKey: KeyObject }

export type JwksSourceSettings = {
  /** File path or `http(s)` URL. */
  location: string
  fetchTimeoutMs: number
  documentBytesMax: number
  /** An unknown key id has the document read again, at most this often. */
  refreshMinMs: number
  /** A document older than this is read again, so that a key that was taken back is forgotten. */
  refreshMaxMs: number
}

export const JWKS_DEFAULTS: Omit<JwksSourceSettings, 'location'> = {
  fetchTimeoutMs: 5000,
  documentBytesMax: 256 * 1024,
  refreshMinMs: 10_000,
  refreshMaxMs: 10 * 60_000,
}

const RSA_BITS_MIN = 2048
const RSA_ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])
const EC_ALGORITHMS: ReadonlyMap<string, ExternalAlgorithm> = new Map([
  ['P-256', 'ES256'],
  ['P-384', 'ES384'],
  ['P-521', 'ES512'],
])

type Failure = (reason: string) => void

export class JwksSource {
  readonly #settings: JwksSourceSettings
  readonly #onFailure: Failure
  #keys: ReadonlyMap<string, IssuerKey> = new Map()
  #triedAt = Number.NEGATIVE_INFINITY
  #loadedAt = Number.NEGATIVE_INFINITY
  #loading: Promise<void> | null = null

  /** `onFailure` hears why a document could not be read; the keys known before stay. */
  constructor(settings: JwksSourceSettings, onFailure: Failure) {
    this.#settings = settings
    this.#onFailure = onFailure
  }

  /** The key of this id. A token without an id takes the only key there is. */
  async find(kid: string | undefined): Promise<IssuerKey | undefined> {
    const known = this.#pick(kid)
    if (known === undefined) {
      await this.#refresh()
      return this.#pick(kid)
    }
    // Beside the way: an issuer that does not answer must not hold up those whose key is known.
    if (performance.now() - this.#loadedAt > this.#settings.refreshMaxMs) void this.#refresh()
    return known
  }

  #pick(kid: string | undefined): IssuerKey | undefined {
    if (kid !== undefined) return this.#keys.get(kid)
    return this.#keys.size === 1 ? this.#keys.values().next().value : undefined
  }

  #refresh(): Promise<void> {
    if (this.#loading !== null) return this.#loading
    const now = performance.now()
    if (now - this.#triedAt < this.#settings.refreshMinMs) return Promise.resolve()
    this.#triedAt = now
    this.#loading = this.#load().finally(() => {
      this.#loading = null
    })
    return this.#loading
  }

  async #load(): Promise<void> {
    try {
      this.#keys = parseJwks(await read(this.#settings))
      this.#loadedAt = performance.now()
    } catch (error) {
      const { location } = this.#settings
      this.#onFailure(`${location}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

async function read(settings: JwksSourceSettings): Promise<string> {
  return /^https?:/i.test(settings.location) ? fetchDocument(settings) : readDocument(settings)
}

async function readDocument({ location, documentBytesMax }: JwksSourceSettings): Promise<string> {
  const file = await open(location, 'r')
  try {
    const bytes = Buffer.alloc(documentBytesMax + 1)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    if (bytesRead > documentBytesMax) throw new Error(`larger than ${documentBytesMax} bytes`)
    return bytes.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function fetchDocument(settings: JwksSourceSettings): Promise<string> {
  const response = await fetch(settings.location, {
    headers: { accept: 'application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(settings.fetchTimeoutMs),
  })
  if (!response.ok) {
    await response.body?.cancel()
    throw new Error(`answered ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let size = 0
  // A body that is left early is cancelled by the loop.
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > settings.documentBytesMax) throw new Error(`larger than ${settings.documentBytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The usable keys of a document, by id; those for other purposes, and symmetric ones, are passed over. */
function parseJwks(text: string): Map<string, IssuerKey> {
  const document = JSON.parse(text) as { keys?: unknown } | null
  if (!Array.isArray(document?.keys)) throw new Error('is no JWKS: it has no "keys"')
  const keys = new Map<string, IssuerKey>()
  for (const jwk of document.keys as (JsonWebKey | null)[]) {
    const key = jwk === null ? undefined : parseKey(jwk)
    if (key !== undefined) keys.set(typeof jwk!.kid === 'string' ? jwk!.kid : '', key)
  }
  if (keys.size === 0) throw new Error('has no RSA or EC signing key')
  return keys
}

function parseKey(jwk: JsonWebKey): IssuerKey | undefined {
  if (jwk.use !== undefined && jwk.use !== 'sig') return undefined
  const alg = algorithmOf(jwk)
  if (alg === undefined) return undefined
  try {
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
    const bits = publicKey.asymmetricKeyDetails?.modulusLength
    return bits !== undefined && bits < RSA_BITS_MIN ? undefined : { alg, publicKey }
  } catch {
    // One key that cannot be read must not take the others away.
    return undefined
  }
}

function algorithmOf(jwk: JsonWebKey): ExternalAlgorithm | undefined {
  const named = jwk.alg
  if (jwk.kty === 'RSA') {
    if (named === undefined) return 'RS256'
    return typeof named === 'string' && RSA_ALGORITHMS.has(named) ? (named as ExternalAlgorithm) : undefined
  }
  if (jwk.kty !== 'EC') return undefined
  const alg = EC_ALGORITHMS.get(jwk.crv ?? '')
  return named === undefined || named === alg ? alg : undefined
}
