/** What the contract suite needs of an engine: opening one store again and again, here or in a process of its own. */
import { afterAll, beforeAll } from 'vitest'
import type { Store } from '../../../services/store/contract.ts'
import type { StorePolicy } from '../../../services/store/policy.ts'

export type EngineOptions = {
  /** Default true. */
  contactsRequired?: boolean
  /** Other rules than the default ones. */
  policy?: Partial<StorePolicy>
  /** Sends that may wait for a commit. */
  waitingSendsMax?: number
}

export interface StoreEngine {
  /** Opens the same store each time; what was committed before is there. */
  open(options?: EngineOptions): Promise<Store>
  /** File of a module whose export `openStore(location)` opens that store too, for a process that can be killed. */
  readonly module: string
  /** The store keeps the order of what different accounts hand in, which is more than the contract asks. */
  readonly ordersAllAccounts?: boolean
  readonly location: string
}

/** One store for all tests of a `describe`, open while they run. */
export function shareStore(engine: () => StoreEngine, options?: EngineOptions): () => Store {
  let store: Store
  beforeAll(async () => {
    store = await engine().open(options)
  })
  afterAll(() => store[Symbol.asyncDispose]())
  return () => store
}
