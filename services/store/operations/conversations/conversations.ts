/** What one person keeps about their conversations, and how their devices learn of it. */
import { DRAFT_BYTES_MAX } from '../../../../protocol/catalogue/conversations.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { type LogId, logKind } from '../../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { Caller } from '../../contract.ts'
import { changedSince, touch } from '../changes.ts'
import type { StoredInput, StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { comparePlaces, encodeCursor, parseCursor } from './cursor.ts'
import { readItems } from './items.ts'
import { placeAsOf } from './list.ts'
import { moveReadPointer } from './unread.ts'
import { badgeOf, type ConversationView, findView, isWaiting, type ListedView, listedViews } from './views.ts'

export const conversationOperations: StoredOperations<
  | 'conversations.list'
  | 'conversations.changes'
  | 'conversations.update'
  | 'conversations.clear'
  | 'conversations.badge'
> = {
  async 'conversations.list'(tx, { caller, limit = LIST_ITEMS_DEFAULT, cursor, ...filter }) {
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [], badge: 0, version: 0 }
    const version = await versionOf(tx, account)
    const views = await listedViews(tx, account)
    const asOf = after?.asOf ?? views.reduce((latest, view) => Math.max(latest, view.at), tx.now)
    const wanted = views.filter((view) => view.hidden === 0 && isWanted(view, filter))
    const placed = await placeAsOf(tx, account, wanted, asOf)
    const rest = after === undefined ? placed : placed.filter((place) => comparePlaces(place, after) > 0)
    const page = rest.slice(0, limit).map(({ view }) => view)
    const items = await readItems(tx, caller.uid, account, page)
    const last = items.length < rest.length ? rest[items.length - 1] : undefined
    return {
      items,
      badge: views.reduce((sum, view) => sum + view.due, 0),
      version,
      ...(last !== undefined && { cursor: encodeCursor({ ...last, asOf }) }),
    }
  },

  async 'conversations.changes'(tx, { caller, since, limit = LIST_ITEMS_DEFAULT }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [], removed: [], badge: 0, version: since, more: false }
    const views = new Map((await listedViews(tx, account)).map((view) => [view.name, view]))
    let changed = await changedSince(tx, account, 'conversations', since, limit)
    const listed = () =>
      changed.keys.flatMap((key) => {
        const view = views.get(key as LogId)
        return view === undefined || view.hidden === 1 ? [] : [view]
      })
    const items = await readItems(tx, caller.uid, account, listed())
    // The answer is full before the page is: a shorter one.
    if (items.length < listed().length) {
      changed = await changedSince(tx, account, 'conversations', since, items.length)
    }
    const names = new Set<string>(listed().map(({ name }) => name))
    return {
      items: items.slice(0, names.size),
      removed: changed.keys.filter((key) => !names.has(key)),
      badge: [...views.values()].reduce((sum, view) => sum + view.due, 0),
      version: changed.version,
      more: changed.more,
    }
  },

  async 'conversations.update'(tx, { caller, log, ...changes }) {
    if (Object.keys(changes).length === 0) throw new WochatError('bad_request', 'nothing to change')
    if (Buffer.byteLength(changes.draft ?? '') > DRAFT_BYTES_MAX) {
      throw new WochatError('bad_request', `draft: more than ${DRAFT_BYTES_MAX} bytes`)
    }
    const { account, view } = await getConversation(tx, caller, log)
    const kept = await readKept(tx, account, view.n)
    const next = changed(tx, kept, view, changes)
    if (JSON.stringify(next) !== JSON.stringify(kept)) {
      await saveKept(tx, account, view.n, next)
      await touch(tx, account, 'conversations', view.name)
    }
    return { badge: await badgeOf(tx, account) }
  },

  async 'conversations.clear'(tx, { caller, log, seq }) {
    const { account, view } = await getConversation(tx, caller, log)
    const upTo = Math.min(seq ?? view.head, view.head)
    if (upTo > view.clearedSeq) {
      await moveReadPointer(tx, { uid: caller.uid, account }, view, upTo)
      const kept = await readKept(tx, account, view.n)
      await saveKept(tx, account, view.n, { ...kept, cleared_seq: upTo, marked_unread: 0 })
      await touch(tx, account, 'conversations', view.name)
    }
    return { clearedSeq: Math.max(upTo, view.clearedSeq), badge: await badgeOf(tx, account) }
  },

  async 'conversations.badge'(tx, { caller }) {
    const account = await tx.findAccount(caller.uid)
    return { badge: account === undefined ? 0 : await badgeOf(tx, account) }
  },
}

type Filter = { archived?: boolean; unread?: boolean }

function isWanted(view: ListedView, { archived, unread }: Filter): boolean {
  if (archived !== undefined && archived !== (view.archivedAt !== null)) return false
  return unread === undefined || unread === isWaiting(view)
}

async function versionOf(tx: Transaction, account: number): Promise<number> {
  const row = await tx.first<{ version: number }>('select version from account where n = $1', [account])
  return row!.version
}

/** A direct or group conversation of the caller, whose account is locked; `unknown_log` when there is none. */
async function getConversation(
  tx: Transaction,
  caller: Caller,
  log: string,
): Promise<{ account: number; view: ConversationView }> {
  if (logKind(log) === 'notice') throw new WochatError('bad_request', 'log: notices are no conversation')
  const account = await tx.findAccount(caller.uid)
  if (account === undefined) throw new WochatError('unknown_log')
  await tx.lockAccounts([account])
  const view = await findView(tx, account, log)
  if (view === undefined) throw new WochatError('unknown_log')
  return { account, view }
}

// ---------------------------------------------------------------- what a person keeps about a conversation

/** A row of conversation_state without its keys. */
type Kept = {
  pinned_at: number | null
  muted_until: number | null
  archived_at: number | null
  draft: string | null
  hidden_seq: number | null
  cleared_seq: number
  marked_unread: number
}

const NOTHING_KEPT: Kept = {
  pinned_at: null,
  muted_until: null,
  archived_at: null,
  draft: null,
  hidden_seq: null,
  cleared_seq: 0,
  marked_unread: 0,
}

async function readKept(tx: Transaction, account: number, log: number): Promise<Kept> {
  const row = await tx.first<Kept>(
    `select pinned_at, muted_until, archived_at, draft, hidden_seq, cleared_seq, marked_unread
     from conversation_state where account = $1 and log = $2`,
    [account, log],
  )
  return row === undefined ? NOTHING_KEPT : { ...row }
}

async function saveKept(tx: Transaction, account: number, log: number, kept: Kept): Promise<void> {
  await tx.query(
    `insert into conversation_state (account, log, pinned_at, muted_until, archived_at, draft, hidden_seq, cleared_seq,
       marked_unread, changed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     on conflict (account, log) do update set
       pinned_at = excluded.pinned_at, muted_until = excluded.muted_until, archived_at = excluded.archived_at,
       draft = excluded.draft, hidden_seq = excluded.hidden_seq, cleared_seq = excluded.cleared_seq,
       marked_unread = excluded.marked_unread, changed_at = excluded.changed_at`,
    [
      account,
      log,
      kept.pinned_at,
      kept.muted_until,
      kept.archived_at,
      kept.draft,
      kept.hidden_seq,
      kept.cleared_seq,
      kept.marked_unread,
      tx.now,
    ],
  )
}

type Changes = Omit<StoredInput<'conversations.update'>, 'caller' | 'log' | 'requestId'>

function changed(tx: Transaction, kept: Kept, { head }: ConversationView, changes: Changes): Kept {
  const { pinned, mutedUntil, archived, draft, hidden, markedUnread } = changes
  const next = { ...kept }
  // What is so already keeps its time.
  if (pinned !== undefined) next.pinned_at = pinned ? (kept.pinned_at ?? tx.now) : null
  if (archived !== undefined) next.archived_at = archived ? (kept.archived_at ?? tx.now) : null
  if (mutedUntil !== undefined) {
    next.muted_until = mutedUntil !== null && mutedUntil > tx.now ? mutedUntil : null
  }
  if (draft !== undefined) next.draft = draft === '' ? null : draft
  if (hidden !== undefined) next.hidden_seq = hidden ? head : null
  if (markedUnread !== undefined) next.marked_unread = markedUnread ? 1 : 0
  return next
}
