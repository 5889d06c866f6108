/**
 * The index of searches follows the log: it reads all entries in the order of their commits, some behind, so that no
 * send pays for it. What is recalled or erased leaves it at once (content.ts); an edit is read again from its entry.
 */
import { type LogId, logKind, peopleOf } from '../../../../protocol/ids.ts'
import { joinTexts, messageTexts } from '../../../search/message-text.ts'
import { termsOf } from '../../../search/terms.ts'
import { editedBy } from '../../seen-content.ts'
import { isWritten } from '../../withheld.ts'
import type { CommittedRow, EntryPosition, Transaction } from '../transaction.ts'
import { authorTerm, logTerm, personTerm, typeTerm } from './search-terms.ts'

const NAME = 'search'

/** Whether a step of the index may find something. */
export async function isIndexBehind(tx: Transaction): Promise<boolean> {
  return tx.hasEntriesAfter((await positionOf(tx)) ?? '')
}

export const searchTasks = {
  /** Indexes up to `limit` entries; answers how many it has read. One process at a time; the others read none. */
  async indexMessages(tx: Transaction, { limit }: { limit: number }): Promise<number> {
    if (!(await tx.claim(NAME))) return 0
    const from = await positionOf(tx)
    const { entries, position } = await tx.entriesAfter(from ?? '', limit)
    const audiences = new Map<number, string[]>()
    for (const entry of entries) await indexEntry(tx, entry, audiences)
    if (position !== from) {
      await tx.query(
        `insert into progress (name, position) values ($1, $2)
         on conflict (name) do update set position = excluded.position`,
        [NAME, position],
      )
    }
    return entries.length
  },
}

async function positionOf(tx: Transaction): Promise<EntryPosition | undefined> {
  const at = await tx.first<{ position: string }>('select position from progress where name = $1', [NAME])
  return at?.position
}

async function indexEntry(
  tx: Transaction,
  entry: CommittedRow,
  audiences: Map<number, string[]>,
): Promise<void> {
  if (isWritten(entry.kind)) await indexMessage(tx, entry, audiences)
  const seq = editedBy(entry)
  if (seq !== undefined) {
    const message = await tx.first<CommittedRow>(
      `select log, seq, kind, account, type, body from entry where log = $1 and seq = $2 and kind = 'message'`,
      [entry.log, seq],
    )
    if (message !== undefined) await indexMessage(tx, message, audiences)
  }
}

async function indexMessage(
  tx: Transaction,
  { log, seq, account, type, body }: CommittedRow,
  audiences: Map<number, string[]>,
): Promise<void> {
  const terms = termsOf(joinTexts(messageTexts(JSON.parse(body))))
  if (terms.size === 0) return tx.search.drop(log, seq)
  if (!audiences.has(log)) audiences.set(log, await audienceTerms(tx, log))
  const about = [...audiences.get(log)!, authorTerm(account), typeTerm(type)]
  await tx.search.put(log, seq, [...terms, ...about])
}

/** A group is looked for by its log, direct conversations by their two people: few people have thousands of groups. */
async function audienceTerms(tx: Transaction, log: number): Promise<string[]> {
  const row = await tx.first<{ name: LogId }>('select name from log where n = $1', [log])
  const terms = [logTerm(log)]
  if (row === undefined || logKind(row.name) !== 'direct') return terms
  for (const uid of peopleOf(row.name)) {
    const account = await tx.findAccount(uid)
    if (account !== undefined) terms.push(personTerm(account))
  }
  return terms
}
