/**
 * Friendships, requests and blocks. Each of two people has a row with their own view of the other, and both rows
 * change in one commit; a row that says nothing (no state, no block) is deleted. Changes are told on notice logs:
 * always to the one who acted, for their other devices; to the other only what courtesy lets them know.
 *
 * A call holds both accounts, lower number first, from before it reads the rows: so two calls about one pair, or two
 * that fill one list, come one after the other, and the notice logs of the two need no order of their own.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { buildNoticeLog, type UserId } from '../../../protocol/ids.ts'
import type { Caller, ContactStore } from '../contract.ts'
import { appendEntry } from './logs.ts'
import { once } from './once.ts'
import type { Operations, Work } from './work.ts'

/** What one side says of the other; `none` is also what a missing row says. */
type Side = { state: 'none' | 'requested' | 'asked' | 'friend'; blocked: boolean; text: string | null }

type Person = { uid: UserId; account: number }

/** The caller, the person that the call names, and what each says of the other. */
type Pair = { me: Person; other: Person; mine: Side; theirs: Side }

type NoticeType = 'requested' | 'asked' | 'friend' | 'refused' | 'removed' | 'blocked' | 'unblocked'

export const contactOperations: Operations<ContactStore> = {
  requestContact(work, { caller, requestId, uid, text, contactsMax }) {
    return once(work, 'contacts.request', { caller, requestId, uid, text }, async () => {
      const pair = await getPair(work, caller, uid)
      const { mine, theirs } = pair
      if (mine.state === 'friend') return { state: 'friend' as const }
      if (theirs.blocked) throw new WochatError('blocked')
      if (mine.state === 'requested') return { state: 'requested' as const }
      if (mine.state === 'asked') {
        await befriend(work, caller, pair)
        return { state: 'friend' as const }
      }
      await assertRoom(work, pair.me, pair.other, contactsMax)
      await assertRoom(work, pair.other, pair.me, contactsMax)
      const note = text ?? null
      await saveSide(work, pair.me, pair.other, { ...mine, state: 'requested', text: note })
      await saveSide(work, pair.other, pair.me, { ...theirs, state: 'asked', text: note })
      await tell(work, caller, pair.me, pair.other, 'requested', note)
      await tell(work, caller, pair.other, pair.me, 'asked', note)
      return { state: 'requested' as const }
    })
  },

  acceptContact(work, { caller, requestId, uid, contactsMax }) {
    return once(work, 'contacts.accept', { caller, requestId, uid }, async () => {
      const pair = await findPair(work, caller, uid)
      if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
      await assertRoom(work, pair.me, pair.other, contactsMax)
      await befriend(work, caller, pair)
      return {}
    })
  },

  refuseContact(work, { caller, requestId, uid }) {
    return once(work, 'contacts.refuse', { caller, requestId, uid }, async () => {
      const pair = await findPair(work, caller, uid)
      if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
      await part(work, pair)
      await tell(work, caller, pair.me, pair.other, 'refused')
      return {}
    })
  },

  removeContact(work, { caller, requestId, uid }) {
    return once(work, 'contacts.remove', { caller, requestId, uid }, async () => {
      const pair = await findPair(work, caller, uid)
      if (pair === undefined || (pair.mine.state !== 'friend' && pair.mine.state !== 'requested')) return {}
      await part(work, pair)
      await tell(work, caller, pair.me, pair.other, 'removed')
      await tell(work, caller, pair.other, pair.me, 'removed')
      return {}
    })
  },

  blockContact(work, { caller, requestId, uid, contactsMax }) {
    return once(work, 'contacts.block', { caller, requestId, uid }, async () => {
      const pair = await getPair(work, caller, uid)
      if (pair.mine.blocked) return {}
      await assertRoom(work, pair.me, pair.other, contactsMax)
      await saveSide(work, pair.me, pair.other, { ...pair.mine, blocked: true })
      await tell(work, caller, pair.me, pair.other, 'blocked')
      return {}
    })
  },

  unblockContact(work, { caller, requestId, uid }) {
    return once(work, 'contacts.unblock', { caller, requestId, uid }, async () => {
      const pair = await findPair(work, caller, uid)
      if (pair?.mine.blocked !== true) return {}
      await saveSide(work, pair.me, pair.other, { ...pair.mine, blocked: false })
      await tell(work, caller, pair.me, pair.other, 'unblocked')
      return {}
    })
  },

  async contacts(work, uid) {
    const account = await work.findAccount(uid)
    if (account === undefined) return { items: [] }
    const rows = await work.query<ContactRow>(
      `select person.uid, contact.state, contact.blocked, contact.text, contact.changed_at
       from contact join account as person on person.n = contact.peer
       where contact.account = $1 order by person.uid collate "C"`,
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
async function getPair(work: Work, caller: Caller, uid: string): Promise<Pair> {
  if (uid === caller.uid) throw new WochatError('bad_request', 'uid: yourself')
  const pair = await findPair(work, caller, uid)
  if (pair === undefined) throw new WochatError('unknown_user')
  return pair
}

async function findPair(work: Work, caller: Caller, uid: string): Promise<Pair | undefined> {
  const account = await work.findAccount(uid as UserId)
  if (account === undefined) return undefined
  const me = { uid: caller.uid, account: await work.ensureAccount(caller.uid) }
  const other = { uid: uid as UserId, account }
  await work.query('select n from account where n in ($1, $2) order by n for no key update', [
    me.account,
    other.account,
  ])
  return { me, other, mine: await side(work, me, other), theirs: await side(work, other, me) }
}

async function side(work: Work, person: Person, of: Person): Promise<Side> {
  const [row] = await work.query<{ state: Side['state']; blocked: number; text: string | null }>(
    'select state, blocked, text from contact where account = $1 and peer = $2',
    [person.account, of.account],
  )
  if (row === undefined) return { state: 'none', blocked: false, text: null }
  return { ...row, blocked: row.blocked === 1 }
}

async function befriend(work: Work, caller: Caller, pair: Pair): Promise<void> {
  const friend = { state: 'friend', text: null } as const
  await saveSide(work, pair.me, pair.other, { ...pair.mine, ...friend })
  await saveSide(work, pair.other, pair.me, { ...pair.theirs, ...friend })
  await tell(work, caller, pair.me, pair.other, 'friend')
  await tell(work, caller, pair.other, pair.me, 'friend')
}

async function part(work: Work, { me, other, mine, theirs }: Pair): Promise<void> {
  const none = { state: 'none', text: null } as const
  await saveSide(work, me, other, { ...mine, ...none })
  await saveSide(work, other, me, { ...theirs, ...none })
}

async function saveSide(
  work: Work,
  person: Person,
  of: Person,
  { state, blocked, text }: Side,
): Promise<void> {
  if (state === 'none' && !blocked) {
    await work.query('delete from contact where account = $1 and peer = $2', [person.account, of.account])
    return
  }
  await work.query(
    `insert into contact (account, peer, state, blocked, text, changed_at) values ($1, $2, $3, $4, $5, $6)
     on conflict (account, peer) do update set
       state = excluded.state, blocked = excluded.blocked, text = excluded.text,
       changed_at = excluded.changed_at`,
    [person.account, of.account, state, blocked ? 1 : 0, text, work.now],
  )
}

/** Refuses with `too_many_contacts` when a person's list is full and does not hold the other yet. */
async function assertRoom(work: Work, person: Person, of: Person, contactsMax: number): Promise<void> {
  const [row] = await work.query<{ others: number }>(
    'select count(*)::int as others from contact where account = $1 and peer <> $2',
    [person.account, of.account],
  )
  if (row!.others >= contactsMax) throw new WochatError('too_many_contacts')
}

async function tell(
  work: Work,
  caller: Caller,
  reader: Person,
  about: Person,
  type: NoticeType,
  text: string | null = null,
): Promise<void> {
  await appendEntry(work, buildNoticeLog(reader.uid), {
    kind: 'contact',
    uid: caller.uid,
    device: caller.device,
    type,
    bodyJson: JSON.stringify({ uid: about.uid, ...(text !== null && { text }) }),
  })
}
