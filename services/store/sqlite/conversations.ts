/**
 * Conversations as one person sees them: what is visible, what is unread, and the pages of history.
 *
 * Unread is a subtraction, not a count: every entry carries the running number of messages in its log, and the
 * reader row holds that number and the number of own messages at the read pointer.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { type LogId, parseLog } from '../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT, PAGE_ENTRIES_DEFAULT } from '../../../protocol/limits.ts'
import type { ConversationStore } from '../contract.ts'
import { encodeCursor, isAfter, type ListPlace, parseCursor } from '../conversation-cursor.ts'
import { EntryReader } from './entry-reader.ts'
import type { Operations } from './operations.ts'
import { once, type Work } from './work.ts'

/** A log with all that one person's windows and reads say about it. */
type View = {
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
}

type Window = { from_seq: number; to_seq: number | null }

export const conversationOperations: Operations<ConversationStore> = {
  conversations(work, { caller, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    work.logs.file()
    const account = work.accounts.find(caller.uid)
    if (account === undefined) return { items: [], badge: 0 }
    const views = conversationViews(work, account)
    const asOf = after?.asOf ?? views.reduce((latest, view) => Math.max(latest, view.at), work.now)
    const listed = listAsOf(work, account, views, asOf)
    const rest = after === undefined ? listed : listed.filter((item) => isAfter(item, after))
    const entries = new EntryReader(work, limit)
    const items = []
    for (const { view } of rest.slice(0, limit)) {
      if (entries.isFull) break
      items.push(conversationItem(work, caller.uid, view, entries))
    }
    const last = items.length < rest.length ? rest[items.length - 1] : undefined
    return {
      items,
      badge: views.reduce((sum, view) => sum + view.unread, 0),
      ...(last !== undefined && { cursor: encodeCursor({ ...last, asOf }) }),
    }
  },

  markRead(work, { caller, requestId, log, seq }) {
    return once(work, 'conversations.read', { caller, requestId, log, seq }, () => {
      work.logs.file()
      const { account, view } = getView(work, caller.uid, log)
      moveReadPointer(work, account, view, Math.min(seq, view.head))
      const { readSeq, unread } = getView(work, caller.uid, log).view
      return { readSeq, unread, badge: badgeOf(work, account) }
    })
  },

  page(work, { caller, log, before, after, limit = PAGE_ENTRIES_DEFAULT }) {
    work.logs.file()
    const { account, view } = getView(work, caller.uid, log)
    const from = Math.max(view.first, (after ?? 0) + 1)
    const to = Math.min(view.head, (before ?? Number.MAX_SAFE_INTEGER) - 1)
    const newestFirst = after === undefined
    const reader = new EntryReader(work, limit)
    const windows = windowsOf(work, account, view.n)
    const entries = (newestFirst ? windows.reverse() : windows).flatMap((window) =>
      reader.read(view, {
        from: Math.max(from, window.from_seq),
        to: Math.min(to, window.to_seq ?? to),
        newestFirst,
      }),
    )
    return { entries: newestFirst ? entries.reverse() : entries, head: view.head, first: view.first }
  },
}

// ---------------------------------------------------------------- views

/**
 * One row a log. For who left, the log went on: head, time and messages are those at the last entry they may see, and
 * if that one was trimmed, nothing is left that could be unread.
 */
const views = (windows: string): string => `
  select window.log as n, log.name, log.epoch, max(log.first, window.since) as first,
    iif(window.open, log.head, window.until) as head,
    coalesce(iif(window.open, log.last_at, entry.at), 0) as at,
    reader.read_seq as readSeq, reader.read_messages as readMessages, reader.own, reader.read_own as readOwn,
    coalesce(max(0, iif(window.open, log.messages, entry.message_no) - reader.read_messages
      - (reader.own - reader.read_own)), 0) as unread
  from (
    select account, log, min(from_seq) as since, max(to_seq) as until, max(to_seq is null) as open
    from membership where ${windows} group by log
  ) as window
  cross join log on log.n = window.log
  cross join reader on reader.account = window.account and reader.log = window.log
  left join entry on window.open = 0 and entry.log = window.log and entry.seq = window.until`
const ONE_VIEW = views('account = ? and log = ?')
const ALL_VIEWS = views('account = ?')
const BADGE = `select coalesce(sum(unread), 0) as badge from (${ALL_VIEWS}) where substr(name, 1, 2) <> 'n:'`

/** Direct and group logs of a person with something to see. */
function conversationViews(work: Work, account: number): View[] {
  const rows = work.db.prepare(ALL_VIEWS).all(account) as View[]
  return rows.filter((row) => !row.name.startsWith('n:') && row.first <= row.head)
}

/** One log of a person; `unknown_log` when they never had a window on it. */
function getView(work: Work, uid: string, name: string): { account: number; view: View } {
  const account = work.accounts.find(uid)
  const log = parseLog(name)?.log
  const n = log === undefined ? 0 : work.logs.state(log).n
  if (account === undefined || n === 0) throw new WochatError('unknown_log')
  const view = work.db.prepare(ONE_VIEW).get(account, n) as View | undefined
  if (view === undefined) throw new WochatError('unknown_log')
  return { account, view }
}

/** Unread of all conversations: what the app's icon shows. */
function badgeOf(work: Work, account: number): number {
  return (work.db.prepare(BADGE).get(account) as { badge: number }).badge
}

function windowsOf(work: Work, account: number, log: number): Window[] {
  return work.db
    .prepare('select from_seq, to_seq from membership where account = ? and log = ? order by from_seq')
    .all(account, log) as Window[]
}

// ---------------------------------------------------------------- the read pointer

/** Moves the pointer forward to `seq`, which is visible, and the counts that go with it. */
function moveReadPointer(work: Work, account: number, view: View, seq: number): void {
  if (seq <= view.readSeq) return
  const entry = work.db
    .prepare('select message_no as messages from entry where log = ? and seq = ?')
    .get(view.n, seq) as { messages: number } | undefined
  work.db
    .prepare('update reader set read_seq = ?, read_messages = ?, read_own = ? where account = ? and log = ?')
    .run(seq, entry?.messages ?? view.readMessages, ownUpTo(work, account, view, seq), account, view.n)
  work.feed.push({
    kind: 'read',
    uid: work.accounts.uidOf(account),
    log: view.name,
    seq,
  })
}

/** Own messages up to `seq`, counted from the nearer end: from the old pointer up, or from the head down. */
function ownUpTo(work: Work, account: number, view: View, seq: number): number {
  if (seq - view.readSeq <= view.head - seq) {
    return view.readOwn + countOwn(work, account, view.n, view.readSeq + 1, seq)
  }
  return view.own - countOwn(work, account, view.n, seq + 1, view.head)
}

function countOwn(work: Work, account: number, log: number, from: number, to: number): number {
  if (from > to) return 0
  const { count } = work.db
    .prepare(
      `select count(*) as count from entry
       where log = ? and seq between ? and ? and account = ? and kind = 'message'`,
    )
    .get(log, from, to, account) as { count: number }
  return count
}

// ---------------------------------------------------------------- the list

type ListedView = ListPlace & { view: View }

/**
 * The views in the order of their last activity at the time `asOf`. A list that is paged keeps the order of its first
 * page, so that a message that comes in between moves nothing in or out of the pages to come.
 */
function listAsOf(work: Work, account: number, views: readonly View[], asOf: number): ListedView[] {
  const listed: ListedView[] = []
  for (const view of views) {
    const at = activityAsOf(work, account, view, asOf)
    if (at !== null) listed.push({ view, at, log: view.name })
  }
  return listed.sort((a, b) => (isAfter(b, a) ? -1 : 1))
}

function conversationItem(work: Work, uid: string, view: View, entries: EntryReader) {
  const [last = null] = entries.read(view, { from: view.head, to: view.head, newestFirst: true })
  return {
    log: view.name,
    epoch: `k${view.epoch}`,
    head: view.head,
    unread: view.unread,
    readSeq: view.readSeq,
    last,
    ...nameOrPeer(work, uid, view),
  }
}

function nameOrPeer(work: Work, uid: string, view: View): { name?: string; peer?: string } {
  const log = parseLog(view.name)
  if (log?.kind === 'direct') return { peer: log.a === uid ? log.b : log.a }
  const group = work.db.prepare('select name from chat_group where log = ?').get(view.n)
  return group === undefined ? {} : { name: (group as { name: string }).name }
}

/** When a conversation was last active, seen at the time `asOf`; null for one that began later. */
function activityAsOf(work: Work, account: number, view: View, asOf: number): number | null {
  if (view.at <= asOf) return view.at
  for (const window of windowsOf(work, account, view.n).reverse()) {
    const from = Math.max(view.first, window.from_seq)
    const at = lastTimeUpTo(work, view.n, { from, to: window.to_seq ?? view.head }, asOf)
    if (at !== null) return at
  }
  return null
}

/** Time of the last entry of a stretch that is not after `asOf`, by bisection: `at` never goes back within a log. */
function lastTimeUpTo(work: Work, log: number, stretch: { from: number; to: number }, asOf: number) {
  const timeOf = work.db.prepare('select at from entry where log = ? and seq = ?')
  let { from: low, to: high } = stretch
  let found: number | null = null
  while (low <= high) {
    const middle = Math.floor((low + high) / 2)
    const { at } = timeOf.get(log, middle) as { at: number }
    if (at <= asOf) {
      found = at
      low = middle + 1
    } else high = middle - 1
  }
  return found
}
