/** What two people say of each other: a row of each, with their own view of the other. */
import { WochatError } from '../../../../protocol/errors.ts'
import { buildDirectLog, type UserId } from '../../../../protocol/ids.ts'
import type { Caller } from '../../contract.ts'
import type { Person, Transaction } from '../transaction.ts'

export type BlockMode = 'refuse' | 'swallow'

/** What one side says of the other; `none` is also what a missing row says. */
export type Side = {
  state: 'none' | 'requested' | 'asked' | 'friend'
  blockMode: BlockMode | null
  /** Of an open request. */
  text: string | null
  remark: string | null
  /** JSON of a list of words. */
  tags: string | null
  /** This side refused a request, and takes no other one until then, ms. */
  refusedUntil: number | null
}

/** The caller, the person that the call names, and what each says of the other. */
export type Pair = { me: Person; other: Person; mine: Side; theirs: Side }

/** On the list of its owner: a row may also be kept for a refusal alone. SQL over `contact`. */
export const IS_LISTED = "(contact.state <> 'none' or contact.blocked = 1)"

/** A side that says nothing, beside a refusal that is not over. */
export const NOTHING: Omit<Side, 'refusedUntil'> = {
  state: 'none',
  blockMode: null,
  text: null,
  remark: null,
  tags: null,
}

export const isListed = (side: Side): boolean => side.state !== 'none' || side.blockMode !== null

/** The pair of a call that needs the other to exist and to be somebody else: `unknown_user`, `bad_request`. */
export async function getPair(tx: Transaction, caller: Caller, uid: string): Promise<Pair> {
  if (uid === caller.uid) throw new WochatError('bad_request', 'uid: yourself')
  const pair = await findPair(tx, caller, uid)
  if (pair === undefined) throw new WochatError('unknown_user')
  return pair
}

/** Both people are locked, so that what they say of each other stays until the end of the transaction. */
export async function findPair(tx: Transaction, caller: Caller, uid: string): Promise<Pair | undefined> {
  const account = await tx.findAccount(uid)
  if (account === undefined) return undefined
  const me = { uid: caller.uid, account: await tx.ensureAccount(caller.uid) }
  const other = { uid: uid as UserId, account }
  await tx.lockAccounts([me.account, other.account])
  return { me, other, mine: await readSide(tx, me, other), theirs: await readSide(tx, other, me) }
}

async function readSide(tx: Transaction, person: Person, of: Person): Promise<Side> {
  const row = await tx.first<Omit<Side, 'blockMode'> & { blocked: number; blockMode: BlockMode | null }>(
    `select state, blocked, block_mode as "blockMode", text, remark, tags, refused_until as "refusedUntil"
     from contact where account = $1 and peer = $2`,
    [person.account, of.account],
  )
  if (row === undefined) return { ...NOTHING, refusedUntil: null }
  const { blocked, blockMode, ...rest } = row
  return { ...rest, blockMode: blocked === 1 ? (blockMode ?? 'refuse') : null }
}

/** Writes one side; a row that says nothing is deleted. A remark and tags go with the last of what they are about. */
export async function saveSide(tx: Transaction, person: Person, of: Person, side: Side): Promise<void> {
  const { state, blockMode, text, refusedUntil } = side
  const { remark, tags } = isListed(side) ? side : NOTHING
  if (!isListed(side) && (refusedUntil === null || refusedUntil <= tx.now)) {
    await tx.query('delete from contact where account = $1 and peer = $2', [person.account, of.account])
  } else {
    await tx.query(
      `insert into contact
         (account, peer, state, blocked, block_mode, text, remark, tags, refused_until, changed_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       on conflict (account, peer) do update set
         state = excluded.state, blocked = excluded.blocked, block_mode = excluded.block_mode,
         text = excluded.text, remark = excluded.remark, tags = excluded.tags,
         refused_until = excluded.refused_until, changed_at = excluded.changed_at`,
      [
        person.account,
        of.account,
        state,
        blockMode === null ? 0 : 1,
        blockMode,
        text,
        remark,
        tags,
        refusedUntil,
        tx.now,
      ],
    )
  }
  tx.writersChanged(buildDirectLog(person.uid, of.uid), of.uid)
}

/** Refuses with `too_many_contacts` when a person's list is full and does not hold the other yet. */
export async function assertRoom(tx: Transaction, person: Person, of: Person): Promise<void> {
  const row = await tx.first<{ others: number }>(
    `select count(*) as others from contact where account = $1 and peer <> $2 and ${IS_LISTED}`,
    [person.account, of.account],
  )
  if (row!.others >= tx.policy.contactsMax) throw new WochatError('too_many_contacts')
}
