/**
 * Friendships, requests and blocks. Each of two people has a row with their own view of the other, and both rows
 * change in one commit; a row that says nothing (no state, no block) is deleted. Changes are told on notice logs:
 * always to the one who acted, for their other devices; to the other only what courtesy lets them know.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { buildDirectLog, buildNoticeLog, type UserId } from '../../../protocol/ids.ts'
import type { Caller, ContactStore } from '../contract.ts'
import type { Operations } from './operations.ts'
import { appendEntry, once, type Work } from './work.ts'

/** What one side says of the other; `none` is also what a missing row says. */
type Side = { state: 'none' | 'requested' | 'asked' | 'friend'; blocked: boolean; text: string | null }

type Person = { uid: UserId; account: number }

/** The caller, the person that the call names, and what each says of the other. */
type Pair = { me: Person; other: Person; mine: Side; theirs: Side }

type NoticeType = 'requested' | 'asked' | 'friend' | 'refused' | 'removed' | 'blocked' | 'unblocked'

export const contactOperations: Operations<ContactStore> = {
  requestContact(work, { caller, requestId, uid, text, contactsMax }) {
    return once(work, 'contacts.request', { caller, requestId, uid, text }, () => {
      const pair = getPair(work, caller, uid)
      const { mine, theirs } = pair
      if (mine.state === 'friend') return { state: 'friend' }
      if (theirs.blocked) throw new WochatError('blocked')
      if (mine.state === 'requested') return { state: 'requested' }
      if (mine.state === 'asked') {
        befriend(work, caller, pair)
        return { state: 'friend' }
      }
      assertRoom(work, pair.me, pair.other, contactsMax)
      assertRoom(work, pair.other, pair.me, contactsMax)
      const note = text ?? null
      save(work, pair, { ...mine, state: 'requested', text: note }, { ...theirs, state: 'asked', text: note })
      tell(work, caller, pair.me, pair.other, 'requested', note)
      tell(work, caller, pair.other, pair.me, 'asked', note)
      return { state: 'requested' }
    })
  },

  acceptContact(work, { caller, requestId, uid, contactsMax }) {
    return once(work, 'contacts.accept', { caller, requestId, uid }, () => {
      const pair = findPair(work, caller, uid)
      if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
      assertRoom(work, pair.me, pair.other, contactsMax)
      befriend(work, caller, pair)
      return {}
    })
  },

  refuseContact(work, { caller, requestId, uid }) {
    return once(work, 'contacts.refuse', { caller, requestId, uid }, () => {
      const pair = findPair(work, caller, uid)
      if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
      part(work, pair)
      tell(work, caller, pair.me, pair.other, 'refused')
      return {}
    })
  },

  removeContact(work, { caller, requestId, uid }) {
    return once(work, 'contacts.remove', { caller, requestId, uid }, () => {
      const pair = findPair(work, caller, uid)
      if (pair === undefined || (pair.mine.state !== 'friend' && pair.mine.state !== 'requested')) return {}
      part(work, pair)
      tell(work, caller, pair.me, pair.other, 'removed')
      tell(work, caller, pair.other, pair.me, 'removed')
      return {}
    })
  },

  blockContact(work, { caller, requestId, uid, contactsMax }) {
    return once(work, 'contacts.block', { caller, requestId, uid }, () => {
      const pair = getPair(work, caller, uid)
      if (pair.mine.blocked) return {}
      assertRoom(work, pair.me, pair.other, contactsMax)
      save(work, pair, { ...pair.mine, blocked: true }, null)
      tell(work, caller, pair.me, pair.other, 'blocked')
      return {}
    })
  },

  unblockContact(work, { caller, requestId, uid }) {
    return once(work, 'contacts.unblock', { caller, requestId, uid }, () => {
      const pair = findPair(work, caller, uid)
      if (pair?.mine.blocked !== true) return {}
      save(work, pair, { ...pair.mine, blocked: false }, null)
      tell(work, caller, pair.me, pair.other, 'unblocked')
      return {}
    })
  },

  contacts(work, uid) {
    const account = work.accounts.find(uid)
    if (account === undefined) return { items: [] }
    const { sql } = work.db
    const rows = work.db.all(
      sql
        .selectFrom('contact')
        .innerJoin('account', 'account.n', 'contact.peer')
        .select(['account.uid', 'contact.state', 'contact.blocked', 'contact.text', 'contact.changed_at'])
        .where('contact.account', '=', account)
        .orderBy('account.uid'),
    )
    return {
      items: rows.map((row) => ({
        uid: row.uid,
        state: row.state,
        blocked: row.blocked === 1,
        ...(row.text !== null && { text: row.text }),
        since: row.changed_at,
      })),
    }
  },
}

// ---------------------------------------------------------------- the two sides

/** The pair of a call that needs the other to exist and to be somebody else: `unknown_user`, `bad_request`. */
function getPair(work: Work, caller: Caller, uid: string): Pair {
  if (uid === caller.uid) throw new WochatError('bad_request', 'uid: yourself')
  const pair = findPair(work, caller, uid)
  if (pair === undefined) throw new WochatError('unknown_user')
  return pair
}

function findPair(work: Work, caller: Caller, uid: string): Pair | undefined {
  const account = work.accounts.find(uid)
  if (account === undefined) return undefined
  const me = { uid: caller.uid, account: work.accounts.ensure(caller.uid, work.now) }
  const other = { uid: work.accounts.uidOf(account), account }
  return { me, other, mine: side(work, me, other), theirs: side(work, other, me) }
}

function side(work: Work, person: Person, of: Person): Side {
  const row = work.db
    .prepare('select state, blocked, text from contact where account = ? and peer = ?')
    .get(person.account, of.account) as
    | { state: Side['state']; blocked: number; text: string | null }
    | undefined
  if (row === undefined) return { state: 'none', blocked: false, text: null }
  return { ...row, blocked: row.blocked === 1 }
}

function befriend(work: Work, caller: Caller, pair: Pair): void {
  const friend = { state: 'friend', text: null } as const
  save(work, pair, { ...pair.mine, ...friend }, { ...pair.theirs, ...friend })
  tell(work, caller, pair.me, pair.other, 'friend')
  tell(work, caller, pair.other, pair.me, 'friend')
}

function part(work: Work, pair: Pair): void {
  const none = { state: 'none', text: null } as const
  save(work, pair, { ...pair.mine, ...none }, { ...pair.theirs, ...none })
}

/** Writes what changed; `theirs` is null when it did not. Who may write in the direct log is looked up again. */
function save(work: Work, { me, other }: Pair, mine: Side, theirs: Side | null): void {
  saveSide(work, me, other, mine)
  if (theirs !== null) saveSide(work, other, me, theirs)
  const log = buildDirectLog(me.uid, other.uid)
  work.logs.recheckWriter(log, me.uid)
  work.logs.recheckWriter(log, other.uid)
}

function saveSide(work: Work, person: Person, of: Person, { state, blocked, text }: Side): void {
  if (state === 'none' && !blocked) {
    work.db.prepare('delete from contact where account = ? and peer = ?').run(person.account, of.account)
    return
  }
  work.db
    .prepare(
      `insert into contact (account, peer, state, blocked, text, changed_at) values (?, ?, ?, ?, ?, ?)
       on conflict (account, peer) do update set
         state = excluded.state, blocked = excluded.blocked, text = excluded.text,
         changed_at = excluded.changed_at`,
    )
    .run(person.account, of.account, state, blocked ? 1 : 0, text, work.now)
}

/** Refuses with `too_many_contacts` when a person's list is full and does not hold the other yet. */
function assertRoom(work: Work, person: Person, of: Person, contactsMax: number): void {
  const { others } = work.db
    .prepare('select count(*) as others from contact where account = ? and peer <> ?')
    .get(person.account, of.account) as { others: number }
  if (others >= contactsMax) throw new WochatError('too_many_contacts')
}

function tell(
  work: Work,
  caller: Caller,
  reader: Person,
  about: Person,
  type: NoticeType,
  text: string | null = null,
): void {
  appendEntry(work, buildNoticeLog(reader.uid), {
    kind: 'contact',
    uid: caller.uid,
    device: caller.device,
    type,
    bodyJson: JSON.stringify({ uid: about.uid, ...(text !== null && { text }) }),
  })
}
