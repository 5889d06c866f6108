/** What one person's windows and reads say about each of their logs, as SQL. */
import type { LogId } from '../../../protocol/ids.ts'

export type ConversationView = {
  n: number
  name: LogId
  epoch: number
  /** First seq that is kept and visible, and the last visible one. */
  first: number
  head: number
  /** Time of the entry at `head`. */
  at: number
  unread: number
  readSeq: number
  readMessages: number
  own: number
  readOwn: number
  /** Null for what is no group. */
  groupName: string | null
}

/**
 * One row a log. For who left, the log went on: head, time and messages are those at the last entry they may see, and
 * if that one was trimmed, nothing is left that could be unread.
 */
const views = (windows: string): string => `
  select log.n, log.name, log.epoch, greatest(log.first, seen.since) as first,
    case when seen.open then log.head else seen.until end as head,
    coalesce(case when seen.open then log.last_at else entry.at end, 0) as at,
    reader.read_seq as "readSeq", reader.read_messages as "readMessages", reader.own,
    reader.read_own as "readOwn",
    greatest(0, coalesce(case when seen.open then log.messages else entry.message_no end
      - reader.read_messages - (reader.own - reader.read_own), 0)) as unread,
    chat_group.name as "groupName"
  from (
    select account, log, min(from_seq) as since, max(to_seq) as until, bool_or(to_seq is null) as open
    from membership where ${windows} group by account, log
  ) as seen
  join log on log.n = seen.log
  join reader on reader.account = seen.account and reader.log = seen.log
  left join entry on not seen.open and entry.log = seen.log and entry.seq = seen.until
  left join chat_group on chat_group.log = seen.log`

/** Of account $1 and the log with the name $2. */
export const ONE_VIEW = views('account = $1 and log = (select n from log where name = $2)')
/** Of account $1. */
export const ALL_VIEWS = views('account = $1')
