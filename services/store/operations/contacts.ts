/**
 * Friendships, requests and blocks. Each of two people has a row with their own view of the other, and both rows
 * change in one commit; a row that says nothing (no state, no block) is deleted. Changes are told on notice logs:
 * always to the one who acted, for their other devices; to the other only what courtesy lets them know.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { buildDirectLog, buildNoticeLog, type UserId } from '../../../protocol/ids.ts'
import type { Caller } from '../contract.ts'
import type { StoredPart } from './stored.ts'
import type { Person, Transaction } from './transaction.ts'

/** What one side says of the other; `none` is also what a missing row says. */
type Side = { state: 'none' | 'requested' | 'asked' | 'friend'; blocked: boolean; text: string | null }

/** The caller, the person that the call names, and what each says of the other. */
type Pair = { me: Person; other: Person; mine: Side; theirs: Side }

type NoticeType = 'requested' | 'asked' | 'friend' | 'refused' | 'removed' | 'blocked' | 'unblocked'

export const contactOperations: StoredPart<'contacts.'> = {
  async 'contacts.request'(tx, { caller, uid, text }) {
    const pair = await getPair(tx, caller, uid)
    const { mine, theirs } = pair
    if (mine.state === 'friend') return { state: 'friend' as const }
    if (theirs.blocked) throw new WochatError('blocked')
    if (mine.state === 'requested') return { state: 'requested' as const }
    if (mine.state === 'asked') {
      await befriend(tx, caller, pair)
      return { state: 'friend' as const }
    }
    await assertRoom(tx, pair.me, pair.other)
    await assertRoom(tx, pair.other, pair.me)
    const note = text ?? null
    await saveSide(tx, pair.me, pair.other, { ...mine, state: 'requested', text: note })
    await saveSide(tx, pair.other, pair.me, { ...theirs, state: 'asked', text: note })
    await tell(tx, caller, pair.me, pair.other, 'requested', note)
    await tell(tx, caller, pair.other, pair.me, 'asked', note)
    return { state: 'requested' as const }
  },

  async 'contacts.accept'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
    await assertRoom(tx, pair.me, pair.other)
    await befriend(tx, caller, pair)
    return {}
  },

  async 'contacts.refuse'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
    await part(tx, pair)
    await tell(tx, caller, pair.me, pair.other, 'refused')
    return {}
  },

  async 'contacts.remove'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair === undefined || (pair.mine.state !== 'friend' && pair.mine.state !== 'requested')) return {}
    await part(tx, pair)
    await tell(tx, caller, pair.me, pair.other, 'removed')
    await tell(tx, caller, pair.other, pair.me, 'removed')
    return {}
  },

  async 'contacts.block'(tx, { caller, uid }) {
    const pair = await getPair(tx, caller, uid)
    if (pair.mine.blocked) return {}
    await assertRoom(tx, pair.me, pair.other)
    await saveSide(tx, pair.me, pair.other, { ...pair.mine, blocked: true })
    await tell(tx, caller, pair.me, pair.other, 'blocked')
    return {}
  },

  async 'contacts.unblock'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair?.mine.blocked !== true) return {}
    await saveSide(tx, pair.me, pair.other, { ...pair.mine, blocked: false })
    await tell(tx, caller, pair.me, pair.other, 'unblocked')
    return {}
  },

  async 'contacts.list'(tx, { caller }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [] }
    const rows = await tx.query<ContactRow>(
      `select account.uid, contact.state, contact.blocked, contact.text, contact.changed_at
       from contact join account on account.n = contact.peer
       where contact.account = $1 order by account.uid`,
      [account],
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

type ContactRow = {
  uid: UserId
  state: Side['state']
  blocked: number
  text: string | null
  changed_at: number
}

// ---------------------------------------------------------------- the two sides

/** The pair of a call that needs the other to exist and to be somebody else: `unknown_user`, `bad_request`. */
async function getPair(tx: Transaction, caller: Caller, uid: string): Promise<Pair> {
  if (uid === caller.uid) throw new WochatError('bad_request', 'uid: yourself')
  const pair = await findPair(tx, caller, uid)
  if (pair === undefined) throw new WochatError('unknown_user')
  return pair
}

async function findPair(tx: Transaction, caller: Caller, uid: string): Promise<Pair | undefined> {
  const account = await tx.findAccount(uid)
  if (account === undefined) return undefined
  const me = { uid: caller.uid, account: await tx.ensureAccount(caller.uid) }
  const other = { uid: uid as UserId, account }
  await tx.lockAccounts([me.account, other.account])
  return { me, other, mine: await side(tx, me, other), theirs: await side(tx, other, me) }
}

async function side(tx: Transaction, person: Person, of: Person): Promise<Side> {
  const row = await tx.first<{ state: Side['state']; blocked: number; text: string | null }>(
    'select state, blocked, text from contact where account = $1 and peer = $2',
    [person.account, of.account],
  )
  if (row === undefined) return { state: 'none', blocked: false, text: null }
  return { ...row, blocked: row.blocked === 1 }
}

async function befriend(tx: Transaction, caller: Caller, pair: Pair): Promise<void> {
  const friend = { state: 'friend', text: null } as const
  await saveSide(tx, pair.me, pair.other, { ...pair.mine, ...friend })
  await saveSide(tx, pair.other, pair.me, { ...pair.theirs, ...friend })
  await tell(tx, caller, pair.me, pair.other, 'friend')
  await tell(tx, caller, pair.other, pair.me, 'friend')
}

async function part(tx: Transaction, { me, other, mine, theirs }: Pair): Promise<void> {
  const none = { state: 'none', text: null } as const
  await saveSide(tx, me, other, { ...mine, ...none })
  await saveSide(tx, other, me, { ...theirs, ...none })
}

async function saveSide(tx: Transaction, person: Person, of: Person, side: Side): Promise<void> {
  const { state, blocked, text } = side
  if (state === 'none' && !blocked) {
    await tx.query('delete from contact where account = $1 and peer = $2', [person.account, of.account])
  } else {
    await tx.query(
      `insert into contact (account, peer, state, blocked, text, changed_at) values ($1, $2, $3, $4, $5, $6)
       on conflict (account, peer) do update set
         state = excluded.state, blocked = excluded.blocked, text = excluded.text,
         changed_at = excluded.changed_at`,
      [person.account, of.account, state, blocked ? 1 : 0, text, tx.now],
    )
  }
  tx.writersChanged(buildDirectLog(person.uid, of.uid), of.uid)
}

/** Refuses with `too_many_contacts` when a person's list is full and does not hold the other yet. */
async function assertRoom(tx: Transaction, person: Person, of: Person): Promise<void> {
  const row = await tx.first<{ others: number }>(
    'select count(*) as others from contact where account = $1 and peer <> $2',
    [person.account, of.account],
  )
  if (row!.others >= tx.policy.contactsMax) throw new WochatError('too_many_contacts')
}

async function tell(
  tx: Transaction,
  caller: Caller,
  reader: Person,
  about: Person,
  type: NoticeType,
  text: string | null = null,
): Promise<void> {
  await tx.append(buildNoticeLog(reader.uid), {
    kind: 'contact',
    uid: caller.uid,
    device: caller.device,
    type,
    body: { uid: about.uid, ...(text !== null && { text }) },
  })
}
