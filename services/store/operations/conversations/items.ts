/** Conversations as items of an answer, each with its last entry. */
import type { Result } from '../../../../protocol/catalogue/catalogue.ts'
import { peerOf, type UserId } from '../../../../protocol/ids.ts'
import { ANSWER_BYTES_MAX } from '../../answer-bytes.ts'
import { encodeEpoch } from '../../epoch.ts'
import { asSeen, type Eyes } from '../../seen-content.ts'
import { buildEntry, type EntryRow } from '../entries/row.ts'
import type { Transaction } from '../transaction.ts'
import { lastShown } from './last-shown.ts'
import type { ListedView } from './views.ts'

export type ConversationItem = Result<'conversations.list'>['items'][number]

/** Items read by one statement, so that large entries do not fill the memory before the answer is found to be full. */
const READ_TOGETHER_MAX = 250

/** What a {@link ListedView} does not have. */
type ItemRow = {
  n: number
  draft: string | null
  /** Null, both, for what is no group. */
  groupName: string | null
  groupKind: 'group' | 'room' | null
  /** 1: the person is in it now. */
  open: number
  /** Of the last entry; null when there is none to show. */
  seq: number | null
} & Omit<EntryRow, 'seq'>

/** Of account $1. $2 is a JSON object: the seq of the last entry by the number of its log. */
const ITEMS = `
  select wanted.log as n, mine.draft, chat_group.kind as "groupKind",
    case when stay.log is null then 0 else 1 end as open,
    case when stay.log is null then (
      select gone.left_name from membership as gone where gone.account = $1 and gone.log = wanted.log
      order by gone.from_seq desc limit 1) else chat_group.name end as "groupName",
    entry.seq, entry.at, entry.kind, account.uid, entry.device, entry.id, entry.type, entry.body, entry.state
  from (
    select cast(key as bigint) as log, cast(cast(value as text) as bigint) as seq from json_each($2)) as wanted
  left join entry on entry.log = wanted.log and entry.seq = wanted.seq
  left join account on account.n = entry.account
  left join chat_group on chat_group.log = wanted.log
  left join membership as stay on stay.account = $1 and stay.log = wanted.log and stay.to_seq is null
  left join conversation_state as mine on mine.account = $1 and mine.log = wanted.log`

/** Of account $1. $2 is a JSON object: by the number of a log, between which two seqs the last entry is looked for. */
const LAST_SHOWN = `
  select quiet.log, ${lastShown('quiet.log', 'quiet.low', 'quiet.high')} as seq
  from (
    select cast(key as bigint) as log, cast(value ->> 0 as bigint) as low, cast(value ->> 1 as bigint) as high
    from json_each($2)) as quiet`

/** The items of these views in their order, as many of the first ones as an answer has room for, and at least one. */
export async function readItems(
  tx: Transaction,
  uid: UserId,
  account: number,
  views: readonly ListedView[],
): Promise<ConversationItem[]> {
  const items: ConversationItem[] = []
  let bytesLeft = ANSWER_BYTES_MAX
  for (let start = 0; start < views.length; start += READ_TOGETHER_MAX) {
    const wanted = views.slice(start, start + READ_TOGETHER_MAX)
    const lasts = Object.fromEntries(await lastSeqs(tx, account, wanted))
    const rows = await tx.query<ItemRow>(ITEMS, [account, JSON.stringify(lasts)])
    const byLog = new Map(rows.map((row) => [row.n, row]))
    const peers = wanted.map(({ name }) => peerOf(name, uid))
    const systems = await systemsAmong(tx, [uid, ...peers])
    for (const [i, view] of wanted.entries()) {
      if (bytesLeft <= 0) return items
      const row = byLog.get(view.n)!
      const peer = peers[i]
      items.push(buildItem(view, row, peer == null ? asGroup(row) : asDirect(peer, uid, systems)))
      bytesLeft -= (row.body?.length ?? 0) + (row.draft?.length ?? 0)
    }
  }
  return items
}

/** By the number of each log, the seq of its last entry that is shown; 0 for none. */
async function lastSeqs(
  tx: Transaction,
  account: number,
  views: readonly ListedView[],
): Promise<Map<number, number>> {
  const seqs = new Map(views.map(({ n, head, clearedSeq }) => [n, head > clearedSeq ? head : 0]))
  const quiet = views.filter((view) => view.quiet === 1)
  if (quiet.length === 0) return seqs
  const ranges = quiet.map(({ n, entered, clearedSeq, head }) => [
    n,
    [Math.max(entered, clearedSeq + 1), head],
  ])
  const rows = await tx.query<{ log: number; seq: number | null }>(LAST_SHOWN, [
    account,
    JSON.stringify(Object.fromEntries(ranges)),
  ])
  for (const { log, seq } of rows) seqs.set(log, seq ?? 0)
  return seqs
}

/** Those of these people who are no people. */
async function systemsAmong(tx: Transaction, uids: readonly (UserId | null)[]): Promise<ReadonlySet<string>> {
  const systems = await tx.query<{ uid: UserId }>(
    `select uid from account where uid in ${tx.list('$1', 'text')} and kind = 'system'`,
    [uids.filter((uid) => uid !== null)],
  )
  return new Set(systems.map(({ uid }) => uid))
}

type WhatItIs = Pick<ConversationItem, 'kind' | 'name' | 'peer'>

function asGroup({ groupName, groupKind }: ItemRow): WhatItIs {
  return { kind: groupKind ?? 'group', ...(groupName !== null && { name: groupName }) }
}

/** A conversation with a system account is one to whoever looks at it. */
function asDirect(peer: UserId, uid: UserId, systems: ReadonlySet<string>): WhatItIs {
  return { kind: systems.has(peer) || systems.has(uid) ? 'system' : 'direct', peer }
}

function buildItem(view: ListedView, row: ItemRow, whatItIs: WhatItIs): ConversationItem {
  return {
    log: view.name,
    ...whatItIs,
    epoch: encodeEpoch(view.epoch),
    head: view.head,
    unread: view.unread,
    mentions: view.mentions,
    readSeq: view.readSeq,
    clearedSeq: view.clearedSeq,
    last: hasEntry(row) ? buildEntry(view, asSeen(row, eyesOf(view, row))) : null,
    pinned: view.pinnedAt !== null,
    muted: view.mutedUntil !== null,
    ...(view.mutedUntil !== null && { mutedUntil: view.mutedUntil }),
    archived: view.archivedAt !== null,
    markedUnread: view.markedUnread === 1,
    ...(row.draft !== null && { draft: row.draft }),
  }
}

/** Of the last entry, which lies in the last window, and is none that says what another is now. */
function eyesOf({ head }: ListedView, { open }: ItemRow): Eyes {
  return { isIn: open === 1, sees: (seq) => open === 1 || seq <= head, isDeleted: () => false }
}

function hasEntry(row: ItemRow): row is ItemRow & EntryRow {
  return row.seq !== null
}
