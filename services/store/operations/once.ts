/** Mutating calls under the caller's requestId: each takes effect once. */
import { WochatError } from '../../../protocol/errors.ts'
import type { Caller } from '../contract.ts'
import type { Transaction } from './transaction.ts'

/** How long a result is kept at least; longer than any client keeps repeating a call. */
const RESULTS_KEPT_MS = 7 * 24 * 60 * 60 * 1000
/** Old results deleted with each new one: more than one, so that the table does not outgrow its week. */
const RESULTS_FORGOTTEN_EACH = 4

/** A call under an id of its caller. Another one is the same if its name is and its `params` are, in any order. */
export type RepeatableCall = { caller: Caller; requestId: string; name: string; params: object }

/**
 * Gives the result of the first call under a requestId to every further one, from whichever node; one that comes
 * while the first still runs waits for it. Refuses `id_conflict` when the parameters differ.
 */
export async function once<Result>(
  tx: Transaction,
  { caller, requestId, name, params }: RepeatableCall,
  effect: () => Promise<Result>,
): Promise<Result> {
  const account = await tx.ensureAccount(caller.uid)
  const hash = JSON.stringify(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1)))
  // The row is the lock, too: an equal one of another transaction is waited for.
  const claimed = await tx.query(
    `insert into request (account, id, op, hash, result, at) values ($1, $2, $3, $4, '', $5)
     on conflict (account, id) do nothing returning 1`,
    [account, requestId, name, hash, tx.now],
  )
  if (claimed.length === 0) return findResult<Result>(tx, account, requestId, name, hash)
  const result = await effect()
  await tx.query('update request set result = $3 where account = $1 and id = $2', [
    account,
    requestId,
    JSON.stringify(result),
  ])
  await tx.query(
    `delete from request where (account, id) in (select account, id from request where at < $1 order by at limit $2)`,
    [tx.now - RESULTS_KEPT_MS, RESULTS_FORGOTTEN_EACH],
  )
  return result
}

async function findResult<Result>(
  tx: Transaction,
  account: number,
  id: string,
  name: string,
  hash: string,
): Promise<Result> {
  const known = await tx.first<{ op: string; hash: string; result: string }>(
    'select op, hash, result from request where account = $1 and id = $2',
    [account, id],
  )
  if (known?.op !== name || known.hash !== hash) throw new WochatError('id_conflict')
  return JSON.parse(known.result) as Result
}
