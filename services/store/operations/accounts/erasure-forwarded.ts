/** What others forwarded of an erased account: its words leave their messages, too. */
import type { EntryState } from '../../../../protocol/entry.ts'
import type { LogId, UserId } from '../../../../protocol/ids.ts'
import { findMarks } from '../../../../protocol/message-types.ts'
import { WITHHELD } from '../../withheld.ts'
import { emptyMessage, putContent } from '../entries/content.ts'
import type { LogFacts, Person, Transaction } from '../transaction.ts'

/** Messages of one log that are looked at in one step. */
const COPIES_EACH = 100

type Item = { from?: UserId; at: number; type?: string; body?: Record<string, unknown> }
type CopyBody = Record<string, unknown> & { forwarded?: Item[] }

type CopyRow = {
  kind: string
  at: number
  account: number
  uid: UserId
  type: string
  body: string
  state: string | null
}

/** Does a bounded piece, in one log; true when nothing is left of it. */
export async function takeBackForwarded(tx: Transaction, { account, uid }: Person): Promise<boolean> {
  const copies = await tx.query<{ log: number; seq: number; name: LogId }>(
    `select origin.log, origin.seq, log.name from origin join log on log.n = origin.log
     where origin.account = $1 order by origin.log, origin.seq limit $2`,
    [account, COPIES_EACH],
  )
  const [first] = copies
  if (first === undefined) return true
  const log = (await tx.lockLog(first.name))!
  const here = copies.filter((copy) => copy.log === first.log)
  for (const { seq } of here) await takeBack(tx, uid, log, seq)
  await tx.query('delete from origin where account = $1 and log = $2 and seq <= $3', [
    account,
    log.n,
    here.at(-1)!.seq,
  ])
  return false
}

/** A copy of one message goes as a whole; of several that are together, those of the person. Devices are told. */
async function takeBack(tx: Transaction, uid: UserId, log: LogFacts, seq: number): Promise<void> {
  const row = await tx.first<CopyRow>(
    `select entry.kind, entry.at, entry.account, account.uid, entry.type, entry.body, entry.state
     from entry join account on account.n = entry.account where entry.log = $1 and entry.seq = $2`,
    [log.n, seq],
  )
  const state = JSON.parse(row?.state ?? '{}') as EntryState
  if (row === undefined || state.recalled !== undefined) return
  const { kind, at, account: author, uid: by, type } = row
  const isWithheld = kind === WITHHELD
  const body = JSON.parse(row.body) as CopyBody
  if (type !== 'forward') {
    await emptyMessage(tx, { log: log.n, seq, by, reason: 'erased' })
    if (isWithheld) return
    await tx.append(log.name, { kind: 'recall', uid: by, device: null, type: 'erased', body: { seq, by } })
    return
  }
  const left = { ...body, forwarded: withoutWordsOf(uid, body.forwarded ?? []) }
  const message = { seq, at, author, type, body: row.body, state, isWithheld }
  const marks = findMarks(type, left)
  await putContent(tx, { caller: { uid: by, device: null }, log, message, body: left, marks })
  // Until the index comes to the edit.
  await tx.search.drop(log.n, seq)
}

/** The places stay, so that one sees that something was there. */
function withoutWordsOf(uid: UserId, items: readonly Item[]): Item[] {
  return items.map(({ from, body, ...item }) => {
    if (from === uid) return { ...item, body: {} }
    const inner = body?.forwarded
    const kept = Array.isArray(inner) ? { ...body, forwarded: withoutWordsOf(uid, inner as Item[]) } : body
    return { ...(from !== undefined && { from }), ...item, ...(kept !== undefined && { body: kept }) }
  })
}
