/** Empties messages whose time has come; expiry.ts says how they get one. */
import type { LogId, UserId } from '../../../../protocol/ids.ts'
import { WITHHELD } from '../../withheld.ts'
import { emptyMessage, forgetContent } from '../entries/content.ts'
import type { LogFacts, Transaction } from '../transaction.ts'

/** Whether the time of a message has come at `$1`. */
export const EXPIRY_WAITS = '(select min(due_at) from expiry) <= $1'

export const expiryTasks = {
  /**
   * Empties messages of one log whose time has come, as if their authors took them back, and goes on with those that are
   * empty and have reactions left. Answers how many, 0 when none is due.
   */
  async expireMessages(tx: Transaction, { limit }: { limit: number }): Promise<number> {
    const due = await tx.first<{ name: LogId }>(
      `select log.name from expiry join log on log.n = expiry.log
       where expiry.due_at <= $1 order by expiry.due_at limit 1`,
      [tx.now],
    )
    const log = due === undefined ? undefined : await tx.lockLog(due.name)
    if (log === undefined) return 0
    const rows = await tx.query<DueRow>(
      `select expiry.seq, entry.kind, entry.state, account.uid
       from expiry
       left join entry on entry.log = expiry.log and entry.seq = expiry.seq
       left join account on account.n = entry.account
       where expiry.log = $1 and expiry.due_at <= $2 order by expiry.seq limit $3`,
      [log.n, tx.now, limit],
    )
    for (const row of rows) await expire(tx, log, row)
    return rows.length
  },
}

/** `kind` and `uid` are null of one that retention has deleted. */
type DueRow = { seq: number; kind: string | null; state: string | null; uid: UserId | null }

async function expire(tx: Transaction, log: LogFacts, { seq, kind, state, uid }: DueRow): Promise<void> {
  const isEmpty = uid === null || (state !== null && 'recalled' in JSON.parse(state))
  if (isEmpty) {
    await forgetContent(tx, log.n, seq)
    return
  }
  await emptyMessage(tx, { log: log.n, seq, by: uid, reason: 'expired' })
  if (kind === WITHHELD) return
  await tx.append(log.name, { kind: 'recall', uid, device: null, type: 'expired', body: { seq, by: uid } })
}
