import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Store } from '../../../services/store/contract.ts'
import { DEFAULT_POLICY } from '../../../services/store/policy.ts'
import { openSqliteStore } from '../../../services/store/sqlite/client.ts'
import type { EngineOptions, StoreEngine } from './engine.ts'

/** Longer than any test: entries stay in the journal until somebody reads or there are too many of them. */
const NEVER_BY_AGE_MS = 3_600_000

export function openStore(
  folder: string,
  { contactsRequired = true, policy = {}, waitingSendsMax = 20_000 }: EngineOptions = {},
): Promise<Store> {
  return openSqliteStore({
    file: join(folder, 'wochat.sqlite'),
    policy: { ...DEFAULT_POLICY, ...policy, contactsRequired },
    unfiledAgeMaxMs: NEVER_BY_AGE_MS,
    waitingSendsMax,
    diskReserveBytes: 0,
    onFatal: (error) => {
      throw error
    },
  })
}

/** A store in a folder of its own, which goes with it. */
export async function createSqliteEngine(): Promise<StoreEngine & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'wochat-store-'))
  return {
    open: (options) => openStore(folder, options),
    module: fileURLToPath(import.meta.url),
    location: folder,
    ordersAllAccounts: true,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
