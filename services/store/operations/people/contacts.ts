/**
 * Friendships, requests and blocks. Each of two people has a row with their own view of the other, and both rows
 * change in one commit. Changes are told on notice logs: always to the one who acted, for their other devices; to the
 * other only what courtesy lets them know. `contacts.changes` reports the same to devices that ask.
 */
import type { ContactEntryType } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { buildNoticeLog } from '../../../../protocol/ids.ts'
import type { Caller } from '../../contract.ts'
import { touch } from '../changes.ts'
import type { StoredPart } from '../stored.ts'
import type { Person, Transaction } from '../transaction.ts'
import { accountState } from './account-state.ts'
import { contactListOperations } from './lists.ts'
import { settingOf } from './settings.ts'
import { assertRoom, findPair, getPair, isListed, NOTHING, type Pair, type Side, saveSide } from './sides.ts'

/** Refusals whose time is over that one more refusal takes away: more than it makes. */
const REFUSALS_FORGOTTEN_EACH = 20

export const contactOperations: StoredPart<'contacts.'> = {
  ...contactListOperations,

  async 'contacts.request'(tx, { caller, uid, text }) {
    const pair = await getPair(tx, caller, uid)
    const { me, other, mine, theirs } = pair
    if (mine.state === 'friend') return { state: 'friend' as const }
    if (theirs.blockMode === 'refuse') throw new WochatError('blocked')
    if ((await accountState(tx, other.account)) !== 'active') throw new WochatError('account_inactive')
    if (mine.state === 'requested' && theirs.state === 'asked') return { state: 'requested' as const }
    if (mine.state === 'asked') {
      await befriend(tx, caller, pair)
      return { state: 'friend' as const }
    }
    await assertTakesRequests(tx, pair)
    await assertRoom(tx, me, other)
    const note = text ?? null
    const asked = { ...mine, state: 'requested', text: note } as const
    if (theirs.blockMode === 'swallow') {
      await change(tx, me, other, asked)
      await tell(tx, caller, me, other, 'requested', note)
      return { state: 'requested' as const }
    }
    await assertRoom(tx, other, me)
    await changeBoth(tx, pair, asked, { ...theirs, state: 'asked', text: note, refusedUntil: null })
    await tell(tx, caller, me, other, 'requested', note)
    await tell(tx, caller, other, me, 'asked', note)
    return { state: 'requested' as const }
  },

  async 'contacts.accept'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
    await befriend(tx, caller, pair)
    return {}
  },

  async 'contacts.refuse'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair?.mine.state !== 'asked') throw new WochatError('no_request')
    const cooldown = tx.policy.requestCooldownMs
    await part(tx, {
      ...pair,
      mine: { ...pair.mine, refusedUntil: cooldown === 0 ? null : tx.now + cooldown },
    })
    await forgetRefusals(tx, pair.me)
    await tell(tx, caller, pair.me, pair.other, 'refused')
    return {}
  },

  async 'contacts.remove'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair === undefined || (pair.mine.state !== 'friend' && pair.mine.state !== 'requested')) return {}
    const isKnown = pair.theirs.state !== 'none'
    await part(tx, pair)
    await tell(tx, caller, pair.me, pair.other, 'removed')
    if (isKnown) await tell(tx, caller, pair.other, pair.me, 'removed')
    return {}
  },

  async 'contacts.update'(tx, { caller, uid, remark, tags }) {
    const pair = await findPair(tx, caller, uid)
    if (pair === undefined || !isListed(pair.mine)) throw new WochatError('not_a_contact')
    const { me, other, mine } = pair
    await change(tx, me, other, {
      ...mine,
      ...(remark !== undefined && { remark }),
      ...(tags !== undefined && { tags: tags === null || tags.length === 0 ? null : JSON.stringify(tags) }),
    })
    await tell(tx, caller, me, other, 'updated')
    return {}
  },

  async 'contacts.block'(tx, { caller, uid, mode = 'refuse' }) {
    const pair = await getPair(tx, caller, uid)
    if (pair.mine.blockMode === mode) return {}
    await assertRoom(tx, pair.me, pair.other)
    await change(tx, pair.me, pair.other, { ...pair.mine, blockMode: mode })
    await tell(tx, caller, pair.me, pair.other, 'blocked')
    return {}
  },

  async 'contacts.unblock'(tx, { caller, uid }) {
    const pair = await findPair(tx, caller, uid)
    if (pair === undefined || pair.mine.blockMode === null) return {}
    await change(tx, pair.me, pair.other, { ...pair.mine, blockMode: null })
    await tell(tx, caller, pair.me, pair.other, 'unblocked')
    return {}
  },
}

/** Refuses what the other's settings do not let in (`requests_closed`), and who was refused not long ago (`request_refused`). */
async function assertTakesRequests(tx: Transaction, { me, other, theirs }: Pair): Promise<void> {
  const who = await settingOf(tx, other.account, 'whoMayAdd')
  if (who === 'nobody') throw new WochatError('requests_closed')
  if (who === 'friendsOfFriends' && !(await haveCommonFriend(tx, me, other))) {
    throw new WochatError('requests_closed')
  }
  const wait = (theirs.refusedUntil ?? 0) - tx.now
  if (wait > 0) throw new WochatError('request_refused', undefined, { retryAfterMs: wait })
}

async function haveCommonFriend(tx: Transaction, a: Person, b: Person): Promise<boolean> {
  const common = await tx.first(
    `select 1 from contact mine join contact theirs on theirs.account = mine.peer and theirs.peer = $2
     where mine.account = $1 and mine.state = 'friend' and theirs.state = 'friend' limit 1`,
    [a.account, b.account],
  )
  return common !== undefined
}

async function befriend(tx: Transaction, caller: Caller, pair: Pair): Promise<void> {
  const friend = { state: 'friend', text: null, refusedUntil: null } as const
  await changeBoth(tx, pair, { ...pair.mine, ...friend }, { ...pair.theirs, ...friend })
  await tell(tx, caller, pair.me, pair.other, 'friend')
  await tell(tx, caller, pair.other, pair.me, 'friend')
}

async function part(tx: Transaction, pair: Pair): Promise<void> {
  const none = { state: 'none', text: null } as const
  await changeBoth(tx, pair, { ...pair.mine, ...none }, { ...pair.theirs, ...none })
}

async function changeBoth(tx: Transaction, { me, other }: Pair, mine: Side, theirs: Side): Promise<void> {
  // Versions of several accounts rise in the order of their numbers.
  if (me.account < other.account) await change(tx, me, other, mine)
  await change(tx, other, me, theirs)
  if (me.account > other.account) await change(tx, me, other, mine)
}

async function change(tx: Transaction, person: Person, of: Person, side: Side): Promise<void> {
  await saveSide(tx, person, of, side)
  await touch(tx, person.account, 'contacts', of.uid)
}

/** Rows that were kept for a refusal alone whose time is over. */
async function forgetRefusals(tx: Transaction, { account }: Person): Promise<void> {
  await tx.query(
    `delete from contact where account = $1 and peer in (
       select peer from contact where account = $1 and state = $2 and blocked = 0 and refused_until <= $3 limit $4)`,
    [account, NOTHING.state, tx.now, REFUSALS_FORGOTTEN_EACH],
  )
}

async function tell(
  tx: Transaction,
  caller: Caller,
  reader: Person,
  about: Person,
  type: ContactEntryType,
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
