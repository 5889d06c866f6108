/** What is a person's own, in pages of bounded size, one part after the other: for the archive that they may fetch. */
import { isUtf8 } from 'node:buffer'
import type { DeviceId, UserId } from '../../../../protocol/ids.ts'
import { WRITTEN_KINDS } from '../../withheld.ts'
import { scheduledOperations } from '../messages/scheduled.ts'
import { contactListOperations } from '../people/lists.ts'
import { profileOperations } from '../people/profile.ts'
import { settingsOperations } from '../people/settings.ts'
import type { Transaction } from '../transaction.ts'

/** Items of one page, and entries of a log looked at for it. */
const ITEMS_EACH = 200
const ENTRIES_EACH = 5000
/** Fewer than other items: each may be as large as a payload may be, and a page is held in memory. */
const RETAINED_EACH = 20

export const EXPORT_PARTS = [
  'account',
  'profile',
  'settings',
  'devices',
  'contacts',
  'groups',
  'joinRequests',
  'links',
  'bans',
  'conversations',
  'readPointers',
  'messages',
  'reactions',
  'pins',
  'hidden',
  'scheduled',
  'reports',
  'own',
  'media',
] as const
export type ExportPart = (typeof EXPORT_PARTS)[number]

/** An item of the part `media`, as far as its bytes need it. */
export type ExportedFile = { id: string; bytes: number }

/** Where a page begins: after this item. What it holds is the part's own. */
export type ExportCursor = readonly (string | number)[]
/** `next` is null after the last page. A page may be empty and have a next one. */
export type ExportPage = { items: object[]; next: ExportCursor | null }

type Owner = { uid: UserId; account: number }
type PartReader = (tx: Transaction, owner: Owner, after: ExportCursor | null) => Promise<ExportPage>

export const exportTasks = {
  async exportPage(
    tx: Transaction,
    { uid, part, after }: { uid: UserId; part: ExportPart; after: ExportCursor | null },
  ): Promise<ExportPage> {
    const account = await tx.findAccount(uid)
    return account === undefined ? { items: [], next: null } : PARTS[part](tx, { uid, account }, after)
  },
}

const PARTS: Readonly<Record<ExportPart, PartReader>> = {
  async account(tx, { account }) {
    const items = await tx.query<object>(
      'select uid, phone, kind, state, created_at as "createdAt" from account where n = $1',
      [account],
    )
    return { items, next: null }
  },

  async profile(tx, owner) {
    const { items } = await profileOperations['profile.get'](tx, { caller: callerOf(owner) })
    return { items, next: null }
  },

  async settings(tx, owner) {
    return { items: [await settingsOperations['settings.get'](tx, { caller: callerOf(owner) })], next: null }
  },

  async devices(tx, { account }, after) {
    const items = await tx.query<{ id: DeviceId }>(
      `select id, kind, name, created_at as "createdAt", seen_at as "seenAt", revoked_at as "revokedAt"
       from device where account = $1 and id > $2 order by id limit $3`,
      [account, String(after?.[0] ?? ''), ITEMS_EACH],
    )
    return pageOf(items, ({ id }) => [id])
  },

  async contacts(tx, owner, after) {
    const { items, cursor } = await contactListOperations['contacts.list'](tx, {
      caller: callerOf(owner),
      limit: ITEMS_EACH,
      ...(after !== null && { cursor: String(after[0]) }),
    })
    return { items, next: cursor === undefined ? null : [cursor] }
  },

  async groups(tx, { account }, after) {
    const rows = await tx.query<{ n: number }>(
      `select log.n, log.name as id, chat_group.name, membership.role, membership.nickname,
         membership.joined_at as "joinedAt"
       from membership join log on log.n = membership.log join chat_group on chat_group.log = log.n
       where membership.account = $1 and membership.to_seq is null and log.n > $2 order by log.n limit $3`,
      [account, Number(after?.[0] ?? 0), ITEMS_EACH],
    )
    return numberedPage(rows)
  },

  async joinRequests(tx, { account }, after) {
    const rows = await tx.query<{ n: number }>(
      `select log.n, log.name as id, waiting.text, waiting.asked_at as "askedAt"
       from join_request as waiting join log on log.n = waiting.log
       where waiting.account = $1 and waiting.log > $2 order by waiting.log limit $3`,
      [account, Number(after?.[0] ?? 0), ITEMS_EACH],
    )
    return numberedPage(rows)
  },

  async links(tx, { account }, after) {
    const items = await tx.query<{ token: string; madeAt: number }>(
      `select log.name as id, link.token, link.made_at as "madeAt", link.expires_at as "expiresAt",
         link.uses_max as "usesMax", link.uses
       from group_link as link join log on log.n = link.log
       where link.made_by = $1 and (link.made_at, link.token) > ($2, $3) order by link.made_at, link.token limit $4`,
      [account, Number(after?.[0] ?? 0), String(after?.[1] ?? ''), ITEMS_EACH],
    )
    return pageOf(items, ({ madeAt, token }) => [madeAt, token])
  },

  /** Those with words of the person: why they kept somebody out. */
  async bans(tx, { account }, after) {
    const rows = await tx.query<{ n: number; banned: number }>(
      `select log.n, ban.account as banned, log.name as id, account.uid, ban.reason, ban.banned_at as at, ban.until
       from group_ban as ban join log on log.n = ban.log join account on account.n = ban.account
       where ban.banned_by = $1 and ban.reason is not null and (ban.log, ban.account) > ($2, $3)
       order by ban.log, ban.account limit $4`,
      [account, Number(after?.[0] ?? 0), Number(after?.[1] ?? 0), ITEMS_EACH],
    )
    const { next } = pageOf(rows, ({ n, banned }) => [n, banned])
    return { items: rows.map(({ n: _, banned: __, ...ban }) => ban), next }
  },

  async conversations(tx, { account }, after) {
    const rows = await tx.query<{ n: number; markedUnread: number }>(
      `select log.n, log.name as log, s.pinned_at as "pinnedAt", s.muted_until as "mutedUntil",
         s.archived_at as "archivedAt", s.draft, s.hidden_seq as "hiddenSeq", s.cleared_seq as "clearedSeq",
         s.marked_unread as "markedUnread"
       from conversation_state s join log on log.n = s.log
       where s.account = $1 and s.log > $2 order by s.log limit $3`,
      [account, Number(after?.[0] ?? 0), ITEMS_EACH],
    )
    return numberedPage(rows.map((row) => ({ ...row, markedUnread: row.markedUnread === 1 })))
  },

  async readPointers(tx, { account }, after) {
    const rows = await tx.query<{ n: number }>(
      `select log.n, log.name as log, reader.read_seq as "readSeq" from reader join log on log.n = reader.log
       where reader.account = $1 and reader.log > $2 and reader.read_seq > 0 order by reader.log limit $3`,
      [account, Number(after?.[0] ?? 0), ITEMS_EACH],
    )
    return numberedPage(rows)
  },

  messages: (tx, owner, after) => walkLogs(tx, owner, after, readMessages),
  reactions: (tx, owner, after) => walkLogs(tx, owner, after, readReactions),
  pins: (tx, owner, after) => walkLogs(tx, owner, after, readPins),

  async hidden(tx, { account }, after) {
    const rows = await tx.query<{ n: number; seq: number }>(
      `select log.n, log.name as log, hidden.seq from hidden join log on log.n = hidden.log
       where hidden.account = $1 and (hidden.log, hidden.seq) > ($2, $3) order by hidden.log, hidden.seq limit $4`,
      [account, Number(after?.[0] ?? 0), Number(after?.[1] ?? 0), ITEMS_EACH],
    )
    const { next } = pageOf(rows, ({ n, seq }) => [n, seq])
    return { items: rows.map(({ n: _, ...entry }) => entry), next }
  },

  async scheduled(tx, owner, after) {
    const { items, cursor } = await scheduledOperations['messages.scheduled'](tx, {
      caller: callerOf(owner),
      limit: ITEMS_EACH,
      ...(after !== null && { cursor: String(after[0]) }),
    })
    return { items, next: cursor === undefined ? null : [cursor] }
  },

  async reports(tx, { account }, after) {
    const rows = await tx.query<{ n: number }>(
      `select report.n, account.uid, log.name as log, report.seq, report.reason, report.text, report.made_at as "madeAt"
       from report join account on account.n = report.account left join log on log.n = report.log
       where report.reporter = $1 and report.n > $2 order by report.n limit $3`,
      [account, Number(after?.[0] ?? 0), ITEMS_EACH],
    )
    return numberedPage(rows)
  },

  /** Payloads that are no text come as base64. */
  async own(tx, { uid }, after) {
    const rows = await tx.readOwnSpace(uid, after === null ? null : String(after[0]), RETAINED_EACH)
    const items = rows.map(({ topic, payload }) => {
      const bytes = Buffer.from(payload as Uint8Array)
      return isUtf8(bytes) ? { topic, text: bytes.toString() } : { topic, base64: bytes.toString('base64') }
    })
    return { items, next: rows.length < RETAINED_EACH ? null : [rows.at(-1)!.place] }
  },

  async media(tx, { account }, after) {
    const items = await tx.query<{ id: string; madeAt: number }>(
      `select id, name, type, bytes, sha256, made_at as "madeAt" from media
       where account = $1 and state = 'ready' and (made_at, id) > ($2, $3) order by made_at, id limit $4`,
      [account, Number(after?.[0] ?? 0), String(after?.[1] ?? ''), ITEMS_EACH],
    )
    return pageOf(items, ({ madeAt, id }) => [madeAt, id])
  },
}

type MessageRow = {
  seq: number
  at: number
  id: string | null
  type: string
  body: string
  state: string | null
}

/** A stretch of a log: the entries after a seq up to another one. */
type Stretch = { log: number; after: number; through: number }
/** At most {@link ITEMS_EACH} items of the person in a stretch, in the order of their entries. */
type StretchReader = (tx: Transaction, owner: Owner, stretch: Stretch) => Promise<{ seq: number }[]>

/** What the person did in their conversations, one after the other; the cursor is a log and the last seq looked at. */
async function walkLogs(
  tx: Transaction,
  owner: Owner,
  after: ExportCursor | null,
  read: StretchReader,
): Promise<ExportPage> {
  const [fromLog, afterSeq] = [Number(after?.[0] ?? 0), Number(after?.[1] ?? 0)]
  const log = await tx.first<{ n: number; name: string; head: number }>(
    `select log.n, log.name, log.head from membership join log on log.n = membership.log
     where membership.account = $1 and membership.log >= $2 order by membership.log limit 1`,
    [owner.account, fromLog],
  )
  if (log === undefined) return { items: [], next: null }
  const start = log.n === fromLog ? afterSeq : 0
  const through = Math.min(log.head, start + ENTRIES_EACH)
  const rows = await read(tx, owner, { log: log.n, after: start, through })
  const items = rows.map((row) => ({ log: log.name, ...row }))
  // The last page of a log may end between the items of one entry: none has as many as a page.
  const reached = rows.length === ITEMS_EACH ? rows.at(-1)!.seq - 1 : through
  const whole = rows.length === ITEMS_EACH ? items.filter(({ seq }) => seq <= reached) : items
  return { items: whole, next: reached < log.head ? [log.n, reached] : [log.n + 1, 0] }
}

async function readMessages(tx: Transaction, { account }: Owner, { log, after, through }: Stretch) {
  const rows = await tx.query<MessageRow>(
    `select seq, at, id, type, body, state from entry
     where log = $1 and seq > $2 and seq <= $3 and account = $4 and kind in ${WRITTEN_KINDS}
     order by seq limit $5`,
    [log, after, through, account, ITEMS_EACH],
  )
  return rows.map(({ body, state, id, ...row }) => ({
    ...row,
    ...(id !== null && { id }),
    body: JSON.parse(body) as unknown,
    ...(state !== null && { state: JSON.parse(state) as unknown }),
  }))
}

function readReactions(tx: Transaction, { account }: Owner, { log, after, through }: Stretch) {
  return tx.query<{ seq: number; emoji: string; at: number }>(
    `select seq, emoji, reacted_at as at from reaction
     where log = $1 and seq > $2 and seq <= $3 and account = $4 order by seq, emoji limit $5`,
    [log, after, through, account, ITEMS_EACH],
  )
}

function readPins(tx: Transaction, { account }: Owner, { log, after, through }: Stretch) {
  return tx.query<{ seq: number; at: number }>(
    `select seq, pinned_at as at from pin
     where log = $1 and seq > $2 and seq <= $3 and pinned_by = $4 order by seq limit $5`,
    [log, after, through, account, ITEMS_EACH],
  )
}

const callerOf = ({ uid }: Owner) => ({ uid, device: null })

function pageOf<Item extends object>(items: Item[], cursorOf: (item: Item) => ExportCursor): ExportPage {
  const last = items.at(-1)
  return { items, next: items.length < ITEMS_EACH || last === undefined ? null : cursorOf(last) }
}

/** A page of rows with the number by which they are in order, which stays inside. */
function numberedPage(rows: { n: number }[]): ExportPage {
  const { next } = pageOf(rows, ({ n }) => [n])
  return { items: rows.map(({ n: _, ...item }) => item), next }
}
