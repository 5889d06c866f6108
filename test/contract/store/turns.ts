import type { Caller } from '../../../services/store/contract.ts'
import type { StoreEngine } from './engine.ts'

/** What an account does, handed in when it is called. */
type Turn = [by: Caller, act: () => Promise<unknown>]

/**
 * Takes turns in their order, as a store has to keep it: all are handed in at once where the store orders all
 * accounts; else an account is handed in behind the turns of others, and only its own turns come at once.
 */
export async function takeTurns(
  engine: StoreEngine,
  turns: readonly Turn[],
): Promise<PromiseSettledResult<unknown>[]> {
  const results: Promise<unknown>[] = []
  let last: Caller | undefined
  for (const [by, act] of turns) {
    if (!engine.ordersAllAccounts && last !== undefined && by.uid !== last.uid)
      await Promise.allSettled(results)
    results.push(act())
    last = by
  }
  return await Promise.allSettled(results)
}
