/**
 * Messages that destroy themselves: each has a row in the table `expiry`, which was written with it. What counts from
 * the reading has no time yet, until the other person has read.
 */
import type { Transaction } from '../transaction.ts'

/** Of a message whose time does not run yet: later than any other. */
export const NOT_DUE = Number.MAX_SAFE_INTEGER

/**
 * The account has read a direct log from `fromSeq` up to `toSeq`: what destroys itself after that begins to. `log` is the
 * number of the log. Costs one look into an index that nearly always finds nothing.
 */
export async function startExpiry(
  tx: Transaction,
  log: number,
  account: number,
  fromSeq: number,
  toSeq: number,
): Promise<void> {
  await tx.query(
    `update expiry set after_read_ms = null,
       due_at = case when due_at < $1 + after_read_ms then due_at else $1 + after_read_ms end
     where log = $2 and seq between $3 and $4 and after_read_ms is not null
       and exists (select 1 from entry where entry.log = expiry.log and entry.seq = expiry.seq and entry.account <> $5)`,
    [tx.now, log, fromSeq, toSeq, account],
  )
}
