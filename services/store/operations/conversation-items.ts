/** Conversations as items of an answer, each with its last entry. */
import type { Result } from '../../../protocol/catalogue/catalogue.ts'
import { parseLog, type UserId } from '../../../protocol/ids.ts'
import { ANSWER_BYTES_MAX } from '../answer-bytes.ts'
import { encodeEpoch } from '../epoch.ts'
import { type ConversationView, counts } from './conversation-views.ts'
import { buildEntry, type EntryRow } from './entry-row.ts'
import { lastShown } from './last-shown.ts'
import type { Transaction } from './transaction.ts'

export type ConversationItem = Result<'conversations.list'>['items'][number]

/** Items read by one statement, so that large entries do not fill the memory before the answer is found to be full. */
const READ_TOGETHER_MAX = 250

type ItemRow = Pick<
  ConversationView,
  'n' | 'name' | 'epoch' | 'head' | 'unread' | 'mentions' | 'readSeq' | 'clearedSeq' | 'markedUnread'
> & {
  pinned: number
  mutedUntil: number | null
  archived: number
  draft: string | null
  /** Null, both, for what is no group. */
  groupName: string | null
  groupKind: 'group' | 'room' | null
  /** Of the last entry; null when there is none to show. */
  seq: number | null
} & Omit<EntryRow, 'seq'>

/** Of account $1 at the time $2, the logs $3. */
const itemsQuery = (logs: string): string => `
  select mine.n, mine.name, mine.epoch, mine.head, unread, mentions, read_seq as "readSeq", cleared_seq as "clearedSeq",
    marked_unread as "markedUnread", case when pinned_at is null then 0 else 1 end as pinned,
    mine.muted_until as "mutedUntil", case when archived_at is null then 0 else 1 end as archived, draft,
    chat_group.name as "groupName", chat_group.kind as "groupKind", entry.seq, entry.at, entry.kind, account.uid, entry.device, entry.id, entry.type,
    entry.body, entry.state
  from (${counts(`and log in ${logs}`)}) as mine
  left join chat_group on chat_group.log = mine.n
  left join entry on entry.log = mine.n and entry.seq > mine.cleared_seq and entry.seq = case when mine.quiet = 0
    then mine.head else ${lastShown('mine.n', 'mine.entered', 'mine.head')} end
  left join account on account.n = entry.account`

/** The items of these logs in their order, as many of the first ones as an answer has room for, and at least one. */
export async function readItems(
  tx: Transaction,
  uid: UserId,
  account: number,
  logs: readonly number[],
): Promise<ConversationItem[]> {
  const items: ConversationItem[] = []
  let bytesLeft = ANSWER_BYTES_MAX
  for (let start = 0; start < logs.length; start += READ_TOGETHER_MAX) {
    const wanted = logs.slice(start, start + READ_TOGETHER_MAX)
    const rows = await tx.query<ItemRow>(itemsQuery(tx.list('$3', 'number')), [account, tx.now, wanted])
    const byLog = new Map(rows.map((row) => [row.n, row]))
    const systems = await systemsIn(tx, rows)
    for (const n of wanted) {
      if (bytesLeft <= 0) return items
      const row = byLog.get(n)!
      items.push(buildItem(uid, row, systems))
      bytesLeft -= (row.body?.length ?? 0) + (row.draft?.length ?? 0)
    }
  }
  return items
}

/** Those of the people of direct conversations who are no people. */
async function systemsIn(tx: Transaction, rows: readonly ItemRow[]): Promise<ReadonlySet<string>> {
  const uids = rows.flatMap(({ name }) => {
    const log = parseLog(name)
    return log?.kind === 'direct' ? [log.a, log.b] : []
  })
  const systems = await tx.query<{ uid: UserId }>(
    `select uid from account where uid in ${tx.list('$1', 'text')} and kind = 'system'`,
    [[...new Set(uids)]],
  )
  return new Set(systems.map(({ uid }) => uid))
}

function buildItem(uid: UserId, row: ItemRow, systems: ReadonlySet<string>): ConversationItem {
  return {
    log: row.name,
    ...whatItIs(uid, row, systems),
    epoch: encodeEpoch(row.epoch),
    head: row.head,
    unread: row.unread,
    mentions: row.mentions,
    readSeq: row.readSeq,
    clearedSeq: row.clearedSeq,
    last: hasEntry(row) ? buildEntry(row, row) : null,
    pinned: row.pinned === 1,
    muted: row.mutedUntil !== null,
    ...(row.mutedUntil !== null && { mutedUntil: row.mutedUntil }),
    archived: row.archived === 1,
    markedUnread: row.markedUnread === 1,
    ...(row.draft !== null && { draft: row.draft }),
  }
}

function hasEntry(row: ItemRow): row is ItemRow & EntryRow {
  return row.seq !== null
}

/** A conversation with a system account is one to whoever looks at it. */
function whatItIs(
  uid: UserId,
  { name, groupName, groupKind }: ItemRow,
  systems: ReadonlySet<string>,
): Pick<ConversationItem, 'kind' | 'name' | 'peer'> {
  const log = parseLog(name)
  if (log?.kind !== 'direct')
    return { kind: groupKind ?? 'group', ...(groupName !== null && { name: groupName }) }
  const kind = systems.has(log.a) || systems.has(log.b) ? 'system' : 'direct'
  return { kind, peer: log.a === uid ? log.b : log.a }
}
