/**
 * Conversations as one person sees them: what is visible, what is unread, and the pages of history.
 *
 * Unread is a subtraction, not a count: every entry carries the running number of messages in its log, and the
 * reader row holds that number and the number of own messages at the read pointer.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { type LogId, parseLog, type UserId } from '../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT, PAGE_ENTRIES_DEFAULT } from '../../../protocol/limits.ts'
import type { ConversationStore } from '../contract.ts'
import { encodeCursor, isAfter, parseCursor } from '../conversation-cursor.ts'
import { listAsOf } from './conversation-list.ts'
import { ALL_VIEWS, type ConversationView, ONE_VIEW } from './conversation-views.ts'
import { EntryReader, readHeads } from './entry-reader.ts'
import { once } from './once.ts'
import type { Operations, Work } from './work.ts'

type Window = { from_seq: number; to_seq: number | null }

export const conversationOperations: Operations<ConversationStore> = {
  async conversations(work, { caller, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    const account = await work.findAccount(caller.uid)
    if (account === undefined) return { items: [], badge: 0 }
    const views = await conversationViews(work, account)
    const asOf = after?.asOf ?? views.reduce((latest, view) => Math.max(latest, view.at), work.now)
    const listed = await listAsOf(work, account, views, asOf)
    const rest = after === undefined ? listed : listed.filter((item) => isAfter(item, after))
    const page = rest.slice(0, limit)
    const { entries, through } = await readHeads(
      work,
      page.map(({ view }) => view),
    )
    const items = page.slice(0, through).map(({ view }) => ({
      log: view.name,
      epoch: `k${view.epoch}`,
      head: view.head,
      unread: view.unread,
      readSeq: view.readSeq,
      last: entries.get(view.n) ?? null,
      ...nameOrPeer(caller.uid, view),
    }))
    const last = items.length < rest.length ? rest[items.length - 1] : undefined
    return {
      items,
      badge: views.reduce((sum, view) => sum + view.unread, 0),
      ...(last !== undefined && { cursor: encodeCursor({ ...last, asOf }) }),
    }
  },

  markRead(work, { caller, requestId, log, seq }) {
    return once(work, 'conversations.read', { caller, requestId, log, seq }, async () => {
      const { account, view } = await getView(work, caller.uid, log)
      const isMoved = await moveReadPointer(work, account, view, Math.min(seq, view.head))
      if (isMoved) {
        work.feed.push({ kind: 'read', uid: caller.uid, log: view.name, seq: Math.min(seq, view.head) })
      }
      const { readSeq, unread } = (await getView(work, caller.uid, log)).view
      return { readSeq, unread, badge: await badgeOf(work, account) }
    })
  },

  async page(work, { caller, log, before, after, limit = PAGE_ENTRIES_DEFAULT }) {
    const { account, view } = await getView(work, caller.uid, log)
    const from = Math.max(view.first, (after ?? 0) + 1)
    const to = Math.min(view.head, (before ?? Number.MAX_SAFE_INTEGER) - 1)
    const newestFirst = after === undefined
    const reader = new EntryReader(work, limit)
    const windows = await work.query<Window>(
      `select from_seq, to_seq from membership where account = $1 and log = $2
       order by from_seq ${newestFirst ? 'desc' : 'asc'}`,
      [account, view.n],
    )
    const entries = []
    for (const window of windows) {
      const stretch = {
        from: Math.max(from, window.from_seq),
        to: Math.min(to, window.to_seq ?? to),
        newestFirst,
      }
      entries.push(...(await reader.read(view, stretch)))
    }
    return { entries: newestFirst ? entries.reverse() : entries, head: view.head, first: view.first }
  },
}

// ---------------------------------------------------------------- views

/** Direct and group logs of a person with something to see. */
async function conversationViews(work: Work, account: number): Promise<ConversationView[]> {
  const rows = await work.query<ConversationView>(ALL_VIEWS, [account])
  return rows.filter((row) => !row.name.startsWith('n:') && row.first <= row.head)
}

/** One log of a person; `unknown_log` when they never had a window on it. */
async function getView(
  work: Work,
  uid: UserId,
  name: string,
): Promise<{ account: number; view: ConversationView }> {
  const account = await work.findAccount(uid)
  const log: LogId | undefined = parseLog(name)?.log
  if (account === undefined || log === undefined) throw new WochatError('unknown_log')
  const [view] = await work.query<ConversationView>(ONE_VIEW, [account, log])
  if (view === undefined) throw new WochatError('unknown_log')
  return { account, view }
}

/** Unread of all conversations: what the app's icon shows. */
async function badgeOf(work: Work, account: number): Promise<number> {
  const [row] = await work.query<{ badge: number }>(
    `select coalesce(sum(unread), 0)::bigint as badge from (${ALL_VIEWS}) as view where name not like 'n:%'`,
    [account],
  )
  return row!.badge
}

function nameOrPeer(uid: UserId, view: ConversationView): { name?: string; peer?: string } {
  const log = parseLog(view.name)
  if (log?.kind === 'direct') return { peer: log.a === uid ? log.b : log.a }
  return view.groupName === null ? {} : { name: view.groupName }
}

// ---------------------------------------------------------------- the read pointer

/**
 * Moves the pointer forward to `seq`, which is visible, and the counts that go with it; false when it is there
 * already. What is written is counted at `seq` itself, not added to the row, so that of two calls the later seq wins.
 */
async function moveReadPointer(
  work: Work,
  account: number,
  view: ConversationView,
  seq: number,
): Promise<boolean> {
  if (seq <= view.readSeq) return false
  const [entry] = await work.query<{ messages: number }>(
    'select message_no as messages from entry where log = $1 and seq = $2',
    [view.n, seq],
  )
  const moved = await work.query(
    `update reader set read_seq = $3, read_messages = $4, read_own = $5
     where account = $1 and log = $2 and read_seq < $3 returning 1`,
    [account, view.n, seq, entry?.messages ?? view.readMessages, await ownUpTo(work, account, view, seq)],
  )
  return moved.length > 0
}

/** Own messages up to `seq`, counted from the nearer end: from the old pointer up, or from the head down. */
async function ownUpTo(work: Work, account: number, view: ConversationView, seq: number): Promise<number> {
  if (seq - view.readSeq <= view.head - seq) {
    return view.readOwn + (await countOwn(work, account, view.n, view.readSeq + 1, seq))
  }
  return view.own - (await countOwn(work, account, view.n, seq + 1, view.head))
}

async function countOwn(work: Work, account: number, log: number, from: number, to: number): Promise<number> {
  if (from > to) return 0
  const [row] = await work.query<{ count: number }>(
    `select count(*) as count from entry
     where log = $1 and seq between $2 and $3 and account = $4 and kind = 'message'`,
    [log, from, to, account],
  )
  return row!.count
}
