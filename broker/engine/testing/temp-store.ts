/** A real store in a folder of its own, for the tests of the engine. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '../../../services/store/contract.ts'
import { DEFAULT_POLICY } from '../../../services/store/policy.ts'
import { openSqliteStore } from '../../../services/store/sqlite/client.ts'

export class TempStore {
  readonly folder = mkdtempSync(join(tmpdir(), 'wochat-engine-'))
  #store: Store | null = null

  async open(): Promise<Store> {
    this.#store = await openStoreIn(this.folder)
    return this.#store
  }

  /** Closes the store and keeps the folder, for a next start. */
  async close(): Promise<void> {
    await this.#store?.[Symbol.asyncDispose]()
    this.#store = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
    rmSync(this.folder, { recursive: true })
  }
}

export function openStoreIn(folder: string): Promise<Store> {
  return openSqliteStore({
    file: join(folder, 'wochat.db'),
    policy: { ...DEFAULT_POLICY, contactsRequired: false },
    unfiledAgeMaxMs: 1000,
    waitingSendsMax: 10_000,
    diskReserveBytes: 0,
    onFatal: (error) => {
      throw error
    },
  })
}
