/** Reports of messages and people, and what the operator decides about them. */
import { REPORTS_PAGE_MAX } from '../../../../protocol/admin/moderation.ts'
import type { AdminResult } from '../../../../protocol/admin/operations.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { LogId, UserId } from '../../../../protocol/ids.ts'
import { WITHHELD, WRITTEN_KINDS } from '../../withheld.ts'
import { getMessage, getReadable } from '../entries/access.ts'
import { emptyMessage } from '../entries/content.ts'
import { EntryReader } from '../entries/reading.ts'
import type { StoredInput, StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import type { OperatorOperations } from './operator.ts'
import { assertLater, lockLiving, suspendAccount } from './suspensions.ts'

/** Who removed a message, in its state: no account. */
const OPERATOR = 'operator' as UserId
const EVIDENCE_BYTES_MAX = 128 * 1024

export const reportOperations: StoredOperations<'reports.create'> = {
  async 'reports.create'(tx, input) {
    const { caller, reason, text } = input
    const reported = input.log === undefined ? await personOf(tx, input) : await messageOf(tx, input)
    const reporter = await tx.ensureAccount(caller.uid)
    // A person's reports wait for each other, so that one message is not reported twice at once.
    await tx.lockAccounts([reporter])
    const open = await tx.first<{ n: number }>(
      `select n from report where reporter = $1 and account = $2 and decided_at is null
         and log is not distinct from $3 and seq is not distinct from $4 limit 1`,
      [reporter, reported.account, reported.log, reported.seq],
    )
    if (open !== undefined) return { report: open.n }
    const made = await tx.first<{ n: number }>(
      `insert into report (reporter, account, log, seq, reason, text, evidence, made_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8) returning n`,
      [
        reporter,
        reported.account,
        reported.log,
        reported.seq,
        reason,
        text ?? null,
        reported.evidence,
        tx.now,
      ],
    )
    return { report: made!.n }
  },
}

type Reported = { account: number; log: number | null; seq: number | null; evidence: string | null }

async function personOf(
  tx: Transaction,
  { caller, uid, seq }: StoredInput<'reports.create'>,
): Promise<Reported> {
  if (uid === undefined || seq !== undefined) throw new WochatError('bad_request', 'give log and seq, or uid')
  if (uid === caller.uid) throw new WochatError('bad_request', 'uid: yourself')
  const account = await tx.findAccount(uid)
  if (account === undefined) throw new WochatError('unknown_user')
  return { account, log: null, seq: null, evidence: null }
}

async function messageOf(tx: Transaction, input: StoredInput<'reports.create'>): Promise<Reported> {
  const { caller, log, seq, uid } = input
  if (seq === undefined || uid !== undefined) throw new WochatError('bad_request', 'give log and seq, or uid')
  const readable = await getReadable(tx, caller, log!)
  const { author: account } = await getMessage(tx, readable, seq)
  const limits = { entriesMax: 1, bytesMax: EVIDENCE_BYTES_MAX, filter: null }
  const [entry] = await new EntryReader(tx, readable, limits).pick([seq])
  return { account, log: readable.log.n, seq, evidence: JSON.stringify(entry) }
}

// ---------------------------------------------------------------- the operator's queue

type Report = AdminResult<'decideReport'>

type Row = {
  n: number
  reporter: string | null
  uid: string
  log: LogId | null
  seq: number | null
  reason: string
  text: string | null
  evidence: string | null
  at: number
  decision: string | null
  decided_at: number | null
  note: string | null
}

const ROWS = `
  select report.n, reporter.uid as reporter, reported.uid, log.name as log, report.seq, report.reason, report.text,
    report.evidence, report.made_at as at, report.decision, report.decided_at, report.note
  from report
  left join account as reporter on reporter.n = report.reporter
  join account as reported on reported.n = report.account
  left join log on log.n = report.log`

export const reportQueueOperations: OperatorOperations<'reports' | 'decideReport'> = {
  async reports(tx, { state = 'open', after = 0, limit = REPORTS_PAGE_MAX }) {
    const decided = state === 'open' ? 'report.decided_at is null' : 'report.decided_at is not null'
    const rows = await tx.query<Row>(
      `${ROWS} where report.n > $1 and ${decided} order by report.n limit $2`,
      [after, limit + 1],
    )
    const waiting = await tx.first<{ count: number }>(
      'select count(*) as count from report where decided_at is null',
    )
    return { reports: rows.slice(0, limit).map(reportOf), open: waiting!.count, more: rows.length > limit }
  },

  async decideReport(tx, { n, decision, note, until }) {
    if (until !== undefined && decision !== 'suspend')
      throw new WochatError('bad_request', 'until: of suspend')
    assertLater(tx, until)
    const row = await tx.first<Row>(`${ROWS} where report.n = $1`, [n])
    if (row === undefined) throw new WochatError('unknown_report')
    if (row.decided_at !== null) throw new WochatError('report_decided')
    const culprit = decision === 'suspend' ? await lockLiving(tx, row.uid) : null
    const target = decision === 'remove' ? await findRemovable(tx, row) : null
    const taken = await tx.query(
      `update report set decided_at = $2, decision = $3, note = $4 where n = $1 and decided_at is null returning 1`,
      [n, tx.now, decision, note ?? null],
    )
    if (taken.length === 0) throw new WochatError('report_decided')
    if (target !== null) await removeMessage(tx, target)
    if (culprit !== null) await suspendAccount(tx, culprit, note || row.reason, until)
    return reportOf({ ...row, decided_at: tx.now, decision, note: note ?? null })
  },
}

type Removable = { log: LogId; n: number; seq: number; author: UserId; isWithheld: boolean }

/** The message of a report; null when its content is gone already. */
async function findRemovable(tx: Transaction, { log, seq }: Row): Promise<Removable | null> {
  const facts = log === null ? undefined : await tx.lockLog(log)
  const entry =
    facts === undefined
      ? undefined
      : await tx.first<{ account: number; kind: string; body: string }>(
          `select account, kind, body from entry where log = $1 and seq = $2 and kind in ${WRITTEN_KINDS}`,
          [facts.n, seq],
        )
  if (facts === undefined || entry === undefined) throw new WochatError('unknown_entry')
  if (entry.body === '{}') return null
  const author = await tx.uidOf(entry.account)
  return { log: facts.name, n: facts.n, seq: seq!, author, isWithheld: entry.kind === WITHHELD }
}

/** The entry that tells of it is in the author's name, who is in the log; its body says who it was. */
async function removeMessage(tx: Transaction, { log, n, seq, author, isWithheld }: Removable): Promise<void> {
  await emptyMessage(tx, { log: n, seq, by: OPERATOR, reason: 'moderated' })
  if (isWithheld) return
  const body = { seq, by: OPERATOR, reason: 'moderated' }
  await tx.append(log, { kind: 'recall', uid: author, device: null, type: 'moderated', body })
}

function reportOf(row: Row): Report {
  return {
    n: row.n,
    ...(row.reporter !== null && { reporter: row.reporter }),
    uid: row.uid,
    ...(row.log !== null && { log: row.log }),
    ...(row.seq !== null && { seq: row.seq }),
    reason: row.reason,
    ...(row.text !== null && { text: row.text }),
    ...(row.evidence !== null && { evidence: JSON.parse(row.evidence) as unknown }),
    at: row.at,
    ...(row.decision !== null && { decision: row.decision }),
    ...(row.decided_at !== null && { decidedAt: row.decided_at }),
    ...(row.note !== null && { note: row.note }),
  }
}
