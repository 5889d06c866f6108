/** What hangs on messages beside their rows ({@link SendMarks}): whether a send may have it, and its rows. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { SendMarks } from '../../../protocol/message-types.ts'
import { MENTIONED_ALL } from '../mentions.ts'
import { NOT_DUE } from '../operations/entries/expiry.ts'
import type { AccountsIndex } from './accounts-index.ts'
import type { Database } from './database.ts'
import { contentSeq } from './entry-row.ts'
import type { Logs, UnfiledEntry } from './logs.ts'

const MAY_SEE = `
  select 1 from membership m join log on log.n = m.log
  where m.account = ?1 and m.log = ?2 and ?3 between max(m.from_seq, log.first) and coalesce(m.to_seq, ?4)`

const MAY_USE = `
  select 1 from media where id = ?1 and state = 'ready' and retired_at is null and (account = ?2 or exists (
    select 1 from media_use u join membership m on m.log = u.log
    join entry e on e.log = u.log and e.seq = u.seq
    where u.media = media.id and m.account = ?2
      and u.seq >= m.from_seq and (m.to_seq is null or u.seq <= m.to_seq)
      and exists (
        select 1 from membership c where c.account = ?2 and c.log = u.log
          and ${contentSeq('e')} between c.from_seq and coalesce(c.to_seq, ${contentSeq('e')}))))`

/** Why the author cannot send this: an answered entry or a file that they may not see. */
export function refusalOfMarks(
  db: Database,
  logs: Logs,
  author: number,
  log: LogId,
  { replyTo, media = [] }: SendMarks,
): ErrorCode | null {
  if (replyTo !== undefined) {
    const { n, head } = logs.state((replyTo.log ?? log) as LogId)
    if (db.prepare(MAY_SEE).get(author, n, replyTo.seq, head) === undefined) return 'unknown_entry'
  }
  // Who may use a file is found by the messages that carry it, which may wait in the journal.
  if (media.length > 0) logs.file()
  const isUnknown = media.some((id) => db.prepare(MAY_USE).get(id, author) === undefined)
  return isUnknown ? 'unknown_media' : null
}

/** Files what hangs on an entry. Nobody is told of a message that is withheld. */
export function fileMarks(
  db: Database,
  accounts: AccountsIndex,
  { log, seq, at, kind, account, marks }: UnfiledEntry,
): void {
  const { mentions = [], origins = [], media = [], expire, sentHash } = marks!
  if (kind === 'message') {
    for (const mentioned of mentions === 'all'
      ? [MENTIONED_ALL]
      : accountsIn(db, accounts, log.n, mentions)) {
      if (mentioned === account) continue
      db.prepare('insert or ignore into mention (account, log, seq) values (?, ?, ?)').run(
        mentioned,
        log.n,
        seq,
      )
    }
  }
  for (const uid of origins) {
    const origin = accounts.find(uid)
    if (origin === undefined || origin === account) continue
    db.prepare('insert or ignore into origin (account, log, seq) values (?, ?, ?)').run(origin, log.n, seq)
  }
  for (const id of media) {
    db.prepare('insert or ignore into media_use (media, log, seq) values (?, ?, ?)').run(id, log.n, seq)
  }
  if (sentHash !== undefined) {
    db.prepare('insert or ignore into replaced_body (log, seq, hash) values (?, ?, ?)').run(
      log.n,
      seq,
      sentHash,
    )
  }
  if (expire === undefined) return
  db.prepare('insert or ignore into expiry (log, seq, due_at, after_read_ms) values (?, ?, ?, ?)').run(
    log.n,
    seq,
    expire.afterMs === undefined ? NOT_DUE : at + expire.afterMs,
    expire.afterReadMs ?? null,
  )
}

function accountsIn(db: Database, accounts: AccountsIndex, log: number, uids: readonly string[]): number[] {
  const isMember = db.prepare('select 1 from membership where account = ? and log = ? and to_seq is null')
  return uids.flatMap((uid) => {
    const account = accounts.find(uid)
    return account !== undefined && isMember.get(account, log) !== undefined ? [account] : []
  })
}
