/**
 * The last entry that one person is shown of a log, as SQL of both engines. However much lies behind it, it takes a few
 * looks: of the entries a list passes over, reactions alone may be as many as a group has members.
 */
import { isTold, WITHHELD } from '../../withheld.ts'

/** Entries that are looked at one by one, before the search that finds one at any distance. */
const LOOKED_AT_FIRST = 8
/** Last entries in a row that a person deleted for themselves, one step each: a list is everybody's time. */
const DELETED_PASSED_MAX = 200

/**
 * Entries that a list shows as the last one and sorts by: not those that change an earlier entry, and not what only
 * its author may know of. `$1` is the account.
 */
export const isShown = (entry: string): string =>
  `${entry}.kind not in ('edit', 'recall', 'reaction') and ${isTold(entry, '$1')}`

export const isDeletedForMe = (log: string, seq: string): string =>
  `exists (select 1 from hidden where hidden.account = $1 and hidden.log = ${log} and hidden.seq = ${seq})`

/**
 * The highest seq in `low`..`high` of a log that is shown to account $1 and that they did not delete for themselves;
 * null for none, or behind {@link DELETED_PASSED_MAX} that they deleted. The rest does not grow with the log.
 */
export const lastShown = (log: string, low: string, high: string): string => `(
  with recursive back (seq, passed) as (
    select ${shownUpTo(log, low, high)}, 0
    union all
    select ${shownUpTo(log, low, '(back.seq - 1)')}, back.passed + 1 from back
    where back.passed < ${DELETED_PASSED_MAX} and ${isDeletedForMe(log, 'back.seq')}
  )
  select back.seq from back where not ${isDeletedForMe(log, 'back.seq')})`

const shownUpTo = (log: string, low: string, high: string): string => `coalesce(
  (select near.seq from entry as near
    where near.log = ${log} and near.seq <= ${high} and near.seq >=
        case when ${low} > ${high} - ${LOOKED_AT_FIRST} then ${low} else ${high} - ${LOOKED_AT_FIRST} end
      and ${isShown('near')} and not ${isDeletedForMe('near.log', 'near.seq')} order by near.seq desc limit 1),
  (select max(far.seq) from (
    select ${lastMessage(log, low, high)} as seq
    union all select * from (
      select event.seq from entry as event
      where event.log = ${log} and event.seq between ${low} and ${high}
        and event.kind in ('group', 'contact', 'notice') order by event.seq desc limit 1) as events
    union all select * from (
      select own.seq from entry as own
      where own.log = ${log} and own.account = $1 and own.seq between ${low} and ${high}
        and own.kind = '${WITHHELD}' order by own.seq desc limit 1) as owns) as far))`

/** By bisection: the first entry of the running number of messages that `high` has is the last message up to it. */
const lastMessage = (log: string, low: string, high: string): string => `(
  with recursive half (low, high, messages) as (
    select ${low}, ${high}, (select top.message_no from entry as top where top.log = ${log} and top.seq = ${high})
    union all
    select case when middle.message_no >= half.messages then half.low else (half.low + half.high) / 2 + 1 end,
      case when middle.message_no >= half.messages then (half.low + half.high) / 2 else half.high end, half.messages
    from half left join entry as middle on middle.log = ${log} and middle.seq = (half.low + half.high) / 2
    where half.low < half.high
  )
  select message.seq from half join entry as message on message.log = ${log} and message.seq = half.low
  where half.low = half.high and message.kind = 'message')`
