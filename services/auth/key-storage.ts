/** Where the keyring is kept: one place for all processes that sign and check the same tokens. */

export type KeyAlgorithm = 'RS256' | 'ES256'

export type StoredKey = {
  kid: string
  alg: KeyAlgorithm
  createdAt: number
  /** When tokens of this key are no longer taken; null for the key that signs. */
  endsAt: number | null
  /** SPKI, PEM. */
  publicKey: string
  /** PKCS #8, PEM; only of the key that signs. */
  privateKey: string | null
}

/** `codePepper` is base64. Exactly one key has its private half. */
export type StoredKeyring = { version: 1; codePepper: string; keys: StoredKey[] }

/** There is no usable keyring. The message names the place and is for the operator. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError'
}

export interface KeyStorage {
  /** What an operator calls it: a path, or a database. */
  readonly place: string
  /** How long another process may go on signing with a key that was replaced, ms. */
  readonly noticeMs: number
  /** Undefined when nothing is stored yet. Rejects with {@link KeyringError} when it cannot be used. */
  load(): Promise<StoredKeyring | undefined>
  /**
   * Stores what `change` makes of the stored keyring, unless that is null; answers what is stored then. Of several
   * processes that find nothing stored, one stores the first keyring, and all answer it.
   */
  update(change: (stored: StoredKeyring | undefined) => Promise<StoredKeyring | null>): Promise<StoredKeyring>
}
