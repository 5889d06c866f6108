/**
 * What one person's windows, read pointer and own marks say about each of their logs, as SQL of both engines.
 *
 * Unread is a subtraction, not a count: every entry carries the running number of messages in its log, and the reader
 * row holds that number and the number of own messages at the read pointer. What is rare is counted beside it, and only
 * where something is unread: mentions, and messages that the person deleted for themselves.
 *
 * After the read pointer there is one window at most: coming back to a group counts what came before as read.
 */
import type { LogId } from '../../../../protocol/ids.ts'
import { isMentioned } from '../../mentions.ts'
import { isMessageTold, isTold, WITHHELD } from '../../withheld.ts'
import type { Transaction } from '../transaction.ts'
import { isDeletedForMe, isShown } from './last-shown.ts'

/** A log as one person's read pointer stands in it. */
export type ConversationView = {
  n: number
  name: LogId
  epoch: number
  /** Last seq that the person may see. */
  head: number
  unread: number
  /** Unread messages that name the person, or all. */
  mentions: number
  readSeq: number
  readMessages: number
  own: number
  readOwn: number
  clearedSeq: number
  markedUnread: number
}

/** A conversation as the list, its order and the badge need it: all but its last entry, its name and its draft. */
export type ListedView = Pick<
  ConversationView,
  'n' | 'name' | 'epoch' | 'head' | 'unread' | 'mentions' | 'readSeq' | 'clearedSeq' | 'markedUnread'
> & {
  /** Where the last window begins. */
  entered: number
  /** Time of the entry at the head. */
  at: number
  /** 1: the entry at the head is none that a list shows. */
  quiet: number
  /** 1: hidden, and no message came since. */
  hidden: number
  pinnedAt: number | null
  archivedAt: number | null
  /** Null when it is not muted now. */
  mutedUntil: number | null
  /** Its part of the badge. */
  due: number
}

/** Of a log in which nobody was heard: whether the person wrote there, too. */
const HAS_SPOKEN = `exists (
  select 1 from entry as own where own.log = log.n and own.account = $1 and own.kind = '${WITHHELD}')`

/** One row a log of account $1; `which` narrows its windows. */
const seen = (which: string): string => `
  select account, log, min(from_seq) as since, max(from_seq) as entered, max(to_seq) as until,
    max(case when to_seq is null then 1 else 0 end) as is_open
  from membership where account = $1 ${which} group by account, log`

/**
 * For who left, the log went on: head, time and messages are those at the last entry they may see, and if that one was
 * trimmed, nothing is left that could be unread.
 */
const facts = (which: string): string => `
  select seen.log as n, log.name, log.epoch, seen.entered,
    case when log.first > seen.since then log.first else seen.since end as first,
    case when seen.is_open = 1 then log.head else seen.until end as head,
    coalesce(case when seen.is_open = 1 then log.last_at else tail.at end, 0) as at,
    case when ${isShown('tail')} and not ${isDeletedForMe('tail.log', 'tail.seq')} then 0 else 1 end as quiet,
    reader.read_seq, reader.read_messages, reader.own, reader.read_own,
    coalesce(case when seen.is_open = 1 then log.messages else tail.message_no end, 0)
      - reader.read_messages - (reader.own - reader.read_own) as behind,
    case when log.name like 'd:%' and log.messages = 0 and not ${isTold('tail', '$1')} and not ${HAS_SPOKEN}
      then 1 else 0 end as unheard,
    mine.pinned_at, mine.archived_at, mine.hidden_seq, coalesce(mine.cleared_seq, 0) as cleared_seq,
    coalesce(mine.marked_unread, 0) as marked_unread,
    case when mine.muted_until > $2 then mine.muted_until end as muted_until
  from (${seen(which)}) as seen
  join log on log.n = seen.log
  join reader on reader.account = seen.account and reader.log = seen.log
  left join entry as tail on tail.log = seen.log
    and tail.seq = case when seen.is_open = 1 then log.head else seen.until end
  left join conversation_state as mine on mine.account = seen.account and mine.log = seen.log`

/** Where a read pointer is when all is read. */
export const unreadEnds = (which: string): string => `
  select seen.log as n, case when seen.is_open = 1 then log.head else seen.until end as head, reader.own,
    case when seen.is_open = 1 then log.messages else coalesce(tail.message_no, reader.read_messages) end as messages
  from (${seen(which)}) as seen
  join log on log.n = seen.log
  join reader on reader.account = seen.account and reader.log = seen.log
  left join entry as tail on seen.is_open = 0 and tail.log = seen.log and tail.seq = seen.until`

/** Looked at first, because it is rare, and counting costs five times as much as finding that there is nothing. */
const HAS_DELETED =
  'exists (select 1 from hidden where hidden.account = $1 and hidden.log = facts.n and hidden.seq > facts.read_seq)'

const DELETED_UNREAD = `
  select count(*) from hidden join entry on entry.log = hidden.log and entry.seq = hidden.seq
  where hidden.account = $1 and hidden.log = facts.n and hidden.seq > facts.read_seq and hidden.seq <= facts.head
    and entry.kind = 'message' and entry.account <> $1`

/** Account 0 stands for all members. */
const HAS_MENTIONS = `exists (
  select 1 from mention where ${isMentioned('$1')} and mention.log = facts.n and mention.seq > facts.read_seq)`

const MENTIONS_UNREAD = `
  select count(distinct mention.seq) from mention join entry on entry.log = mention.log and entry.seq = mention.seq
  where ${isMentioned('$1')} and mention.log = facts.n
    and mention.seq > facts.read_seq and mention.seq <= facts.head
    and entry.kind = 'message' and entry.account <> $1 and not ${isDeletedForMe('entry.log', 'entry.seq')}`

/** Not what was said while the person was out of the group. */
const CAME_AFTER_HIDING = `
  select 1 from entry where entry.log = facts.n and entry.seq > facts.hidden_seq and entry.seq <= facts.head
    and ${isMessageTold('entry', '$1')}
    and exists (
      select 1 from membership as stay where stay.account = $1 and stay.log = facts.n
        and stay.from_seq <= entry.seq and coalesce(stay.to_seq, entry.seq) >= entry.seq)`

/** {@link facts} with `unread`, `mentions` and `hidden`. `$2` is the time. */
const counts = (which = ''): string => `
  select facts.*,
    case when behind <= 0 then 0 when ${HAS_DELETED} then behind - (${DELETED_UNREAD}) else behind end as unread,
    case when behind > 0 and ${HAS_MENTIONS} then (${MENTIONS_UNREAD}) else 0 end as mentions,
    case when hidden_seq is null or exists (${CAME_AFTER_HIDING}) then 0 else 1 end as hidden
  from (${facts(which)}) as facts`

/** Of {@link counts}: direct and group logs with something to see. */
const IS_CONVERSATION = "name not like 'n:%' and first <= head and unheard = 0"

/** The part of one conversation in the badge: nothing while it is hidden, only mentions while it is muted. */
const DUE = 'case when hidden = 1 then 0 when muted_until is null then unread else mentions end'

const LISTED = `
  select n, name, epoch, head, unread, mentions, read_seq as "readSeq", cleared_seq as "clearedSeq",
    marked_unread as "markedUnread", entered, at, quiet, hidden, pinned_at as "pinnedAt", archived_at as "archivedAt",
    muted_until as "mutedUntil", ${DUE} as due
  from (${counts()}) as counts where ${IS_CONVERSATION}`
const BADGE = `
  select cast(coalesce(sum(${DUE}), 0) as bigint) as badge from (${counts()}) as counts where ${IS_CONVERSATION}`
const VIEW = `
  select n, name, epoch, head, unread, mentions, read_seq as "readSeq", read_messages as "readMessages", own,
    read_own as "readOwn", cleared_seq as "clearedSeq", marked_unread as "markedUnread"
  from (${counts('and log = (select n from log where name = $3)')}) as counts`

/** Something is unread, or it is marked so. */
export function isWaiting({ unread, markedUnread }: ListedView): boolean {
  return unread > 0 || markedUnread === 1
}

/** All conversations of a person, hidden ones too. */
export function listedViews(tx: Transaction, account: number): Promise<ListedView[]> {
  return tx.query<ListedView>(LISTED, [account, tx.now])
}

/** One log of a person, notices too; undefined when they never had a window on it. */
export function findView(
  tx: Transaction,
  account: number,
  log: string,
): Promise<ConversationView | undefined> {
  return tx.first<ConversationView>(VIEW, [account, tx.now, log])
}

/**
 * The one number that an app's icon shows: what is unread in conversations that are neither muted nor hidden, and
 * mentions in muted ones. The sum of `due` over {@link listedViews}.
 */
export async function badgeOf(tx: Transaction, account: number): Promise<number> {
  return (await tx.first<{ badge: number }>(BADGE, [account, tx.now]))!.badge
}
