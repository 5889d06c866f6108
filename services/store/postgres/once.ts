/** Mutating calls under the caller's requestId: each takes effect once. */
import { WochatError } from '../../../protocol/errors.ts'
import type { Caller } from '../contract.ts'
import type { Work } from './work.ts'

/** How long a result is kept at least; longer than any client keeps repeating a call. */
const RESULTS_KEPT_MS = 7 * 24 * 60 * 60 * 1000
/** Old results deleted with each new one: more than one, so that the table does not outgrow its week. */
const RESULTS_FORGOTTEN_EACH = 4

/**
 * Keeps the result of a mutating call under its requestId, and gives that result when the call comes again, from
 * whichever node; one that comes while the first still runs waits for it. `input` names what makes two calls the
 * same: the caller's parameters in a fixed order, without bounds or ids of our own. Refuses `id_conflict`.
 */
export async function once<Result>(
  work: Work,
  op: string,
  input: { caller: Caller; requestId?: string | undefined; [param: string]: unknown },
  effect: () => Promise<Result>,
): Promise<Result> {
  const { requestId, caller, ...params } = input
  if (requestId === undefined) return await effect()
  const account = await work.ensureAccount(caller.uid)
  const hash = JSON.stringify(params)
  // The row is the lock, too: an equal one of another transaction is waited for.
  const claimed = await work.query(
    `insert into request (account, id, op, hash, result, at) values ($1, $2, $3, $4, '', $5)
     on conflict (account, id) do nothing returning 1`,
    [account, requestId, op, hash, work.now],
  )
  if (claimed.length === 0) return await findResult<Result>(work, account, requestId, op, hash)
  const result = await effect()
  await work.query('update request set result = $3 where account = $1 and id = $2', [
    account,
    requestId,
    JSON.stringify(result),
  ])
  // Rows that another call deletes at this moment are left to it.
  await work.query(
    `delete from request where (account, id) in (
       select account, id from request where at < $1 order by at limit $2 for update skip locked)`,
    [work.now - RESULTS_KEPT_MS, RESULTS_FORGOTTEN_EACH],
  )
  return result
}

async function findResult<Result>(
  work: Work,
  account: number,
  id: string,
  op: string,
  hash: string,
): Promise<Result> {
  const [known] = await work.query<{ op: string; hash: string; result: string }>(
    'select op, hash, result from request where account = $1 and id = $2',
    [account, id],
  )
  if (known?.op !== op || known.hash !== hash) throw new WochatError('id_conflict')
  return JSON.parse(known.result) as Result
}
