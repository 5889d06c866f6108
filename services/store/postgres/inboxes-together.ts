/** Where the inboxes of many sessions start, in one read: the usual case of `startInbox` in inbox.ts. */
import type { LogId } from '../../../protocol/ids.ts'
import type { BehindLog, InboxState, SessionStore } from '../contract.ts'
import { encodeEpoch } from '../epoch.ts'
import { isBehind, isOfAnotherLife, pendingOf, placeKnown } from '../inbox-place.ts'
import { int8Array } from './array-values.ts'
import type { Answer, Together } from './gathered-calls.ts'
import { isHeadTold, saveCursors } from './inbox.ts'

type Input = Parameters<SessionStore['startInbox']>[0]

/**
 * $1 sessions, $2 generations. A row for each inbox that has started before, and with it one for each log that is a
 * group or has something more than the cursor says; `other` is the first entry after the cursor that the device has
 * not written itself. "offset 0" keeps each look-up on its index: many at once must not become a read of the table.
 */
const PLACES = `
  select asked.i, (extract(epoch from statement_timestamp()) * 1000)::bigint as now, place.*
  from unnest($1::bigint[], $2::bigint[]) with ordinality as asked (n, generation, i)
  cross join lateral (
    select n, account, device from session
    where session.n = asked.n and session.generation = asked.generation and inbox_started = 1 offset 0
  ) s
  left join lateral (
    select log.name, log.epoch, log.head, w.first as "from", greatest(w.last, case when w.open > 0 then log.head end) as visible,
      w.open, cursor.seq as cursor, cursor.epoch as "cursorEpoch", own.other
    from (
      select m.log, min(m.from_seq) as first, max(m.to_seq) as last, count(*) filter (where m.to_seq is null) as open
      from membership m where m.account = s.account group by m.log
    ) w
    cross join lateral (select name, epoch, head from log where log.n = w.log offset 0) log
    left join lateral (
      select seq, epoch from cursor where cursor.session = s.n and cursor.log = w.log offset 0
    ) cursor on true
    cross join lateral (
      select coalesce(cursor.seq, w.first - 1) as after,
        greatest(w.last, case when w.open > 0 then log.head end) as visible
    ) c
    left join lateral (
      select entry.seq as other from entry
      where entry.log = w.log and entry.seq > c.after and entry.seq <= c.visible
        and (entry.account <> s.account or entry.device is distinct from s.device)
      order by entry.seq limit 1
    ) own on c.visible > c.after
    where c.visible > c.after or (w.open > 0 and log.name like 'g:%')
      or cursor.seq > log.head or cursor.epoch <> log.epoch
  ) place on true
  order by asked.i`

type PlaceRow = {
  i: number
  now: number
  /** Null, and so is the rest, in the row of an inbox that has no such log. */
  name: LogId | null
  epoch: number
  head: number
  from: number
  visible: number
  open: number
  cursor: number | null
  cursorEpoch: number | null
  other: number | null
}

type Cursor = Parameters<SessionStore['saveCursors']>[0][number]

/** Left alone: inboxes that start for the first time, those without a stored session, and logs of another life. */
export const startInboxes: Together<Input, InboxState> = async (work, inputs) => {
  const answers = new Array<Answer<InboxState>>(inputs.length).fill(null)
  const places = [...inputs.keys()].filter((i) => inputs[i]!.session !== null)
  if (places.length === 0) return answers
  const rows = await work.query<PlaceRow>(PLACES, [
    int8Array(places.map((i) => inputs[i]!.session!)),
    int8Array(places.map((i) => inputs[i]!.generation)),
  ])
  const passed: Cursor[] = []
  for (let at = 0; at < rows.length; ) {
    const first = at
    while (at < rows.length && rows[at]!.i === rows[first]!.i) at++
    const place = places[rows[first]!.i - 1]!
    const found = readInbox(inputs[place]!, rows.slice(first, at))
    if (found === null) continue
    passed.push(...found.passed)
    answers[place] = { result: found.state }
  }
  if (passed.length > 0) await saveCursors(work, passed)
  return answers
}

/** `passed`: cursors that move over what the device wrote itself. Null when a log has begun another life. */
function readInbox(
  { session, generation, backlogMax }: Input,
  rows: readonly PlaceRow[],
): { state: InboxState; passed: Cursor[] } | null {
  const count = rows.filter((row) => row.name !== null).length
  const state: InboxState = { heads: [], startedAt: rows[0]!.now, behind: [], pending: 0 }
  const passed: Cursor[] = []
  for (const row of rows) {
    const log = row.name
    if (log === null) continue
    if (isOfAnotherLife(row)) return null
    const epoch = encodeEpoch(row.epoch)
    if (isHeadTold({ name: log, open: row.open }, count)) state.heads.push({ log, epoch, head: row.visible })
    const before = row.cursor ?? row.from - 1
    if (row.visible <= before) continue
    const cursor = row.other === null ? row.visible : row.other - 1
    if (cursor > before) passed.push({ session: session!, generation, log, seq: cursor, epoch })
    const behind: BehindLog = placeKnown({ ...row, name: log, cursor }, backlogMax)
    if (!isBehind(behind)) continue
    state.behind.push(behind)
    state.pending += pendingOf(behind)
  }
  return { state, passed }
}
