/** Deleting messages for oneself: they stay in the log, and one person is shown them no more, on any device. */
import { buildNoticeLog } from '../../../../protocol/ids.ts'
import { touch } from '../changes.ts'
import { canSee, getReadable } from '../entries/access.ts'
import type { StoredOperations } from '../stored.ts'

export const hidingOperations: StoredOperations<'messages.delete'> = {
  async 'messages.delete'(tx, { caller, log, seqs }) {
    const account = await tx.findAccount(caller.uid)
    if (account !== undefined) await tx.lockAccounts([account])
    const readable = await getReadable(tx, caller, log)
    const rows = await tx.query<{ seq: number }>(
      `insert into hidden (account, log, seq)
       select cast($2 as bigint), cast($3 as bigint), wanted.value from ${tx.list('$1', 'number')} as wanted where true
       on conflict (account, log, seq) do nothing returning seq`,
      [seqs.filter((seq) => canSee(readable, seq)), readable.account, readable.log.n],
    )
    if (rows.length === 0) return {}
    const hidden = rows.map(({ seq }) => seq).sort((a, b) => a - b)
    await touch(tx, readable.account, 'conversations', readable.log.name)
    const { uid, device } = caller
    const body = { log: readable.log.name, seqs: hidden }
    await tx.append(buildNoticeLog(uid), { kind: 'notice', uid, device, type: 'hidden', body })
    return {}
  },
}
