/**
 * What is left of an erased account goes in steps, each a short transaction: contacts, groups, messages, then what is
 * kept for the person alone. How far it is stands in `erasure`, so that any node goes on after a restart, and two that
 * work at once do no harm: a step holds the account and looks again.
 */
import type { EntryState } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { buildNoticeLog, type LogId, type UserId } from '../../../../protocol/ids.ts'
import { isWritten, WITHHELD } from '../../withheld.ts'
import { touchEach } from '../changes.ts'
import { type EmptiedReason, emptyMessage } from '../entries/content.ts'
import { dissolve } from '../groups/dissolving.ts'
import { lockGroup } from '../groups/lookup.ts'
import { leave } from '../groups/members.ts'
import { closeWindows } from '../groups/membership.ts'
import type { LogFacts, Person, Transaction } from '../transaction.ts'
import { type ErasurePart, LOGIN_PARTS, OWN_PARTS } from './erasure-own.ts'

/** Contacts parted in one step. */
const CONTACTS_EACH = 50
/** Entries of a log looked at in one step, and messages emptied. */
const ENTRIES_EACH = 2000
const MESSAGES_EACH = 100

const REASON: EmptiedReason = 'erased'

type Stage = 'contacts' | 'notices' | 'groups' | 'messages' | 'own' | 'logins'
type Erasure = Person & { stage: Stage; log: number; seq: number }

/** How long the rows of {@link LOGIN_PARTS} stay. */
const LOGINS_KEPT_MS = 10 * 60 * 1000

/** Whether an erasure has a step to be done at `$1`. */
export const ERASURE_WAITS = `exists (
  select 1 from erasure where stage <> 'logins' or asked_at + ${LOGINS_KEPT_MS} <= $1)`

export const erasureTasks = {
  /** Does one step of the erasure that was asked for first; false when none is left to do. */
  async eraseStep(tx: Transaction, _input: object): Promise<{ more: boolean }> {
    const next = await tx.first<Erasure>(
      `select account.n as account, account.uid, stage, erasure.log, erasure.seq
       from erasure join account on account.n = erasure.account
       where stage <> 'logins' or asked_at <= $1 order by asked_at, erasure.account limit 1`,
      [tx.now - LOGINS_KEPT_MS],
    )
    if (next === undefined) return { more: false }
    await STEPS[next.stage](tx, next)
    return { more: true }
  },
}

const STEPS: Readonly<Record<Stage, (tx: Transaction, erasure: Erasure) => Promise<void>>> = {
  contacts: partFromContacts,
  notices: forgetNotices,
  groups: leaveGroup,
  messages: emptyMessages,
  own: (tx, erasure) => workThrough(tx, erasure, OWN_PARTS, 'logins'),
  logins: (tx, erasure) => workThrough(tx, erasure, LOGIN_PARTS, null),
}

/** Whether the step is still to be done, now that the account is held. */
async function isDue(tx: Transaction, { account, stage, log, seq }: Erasure): Promise<boolean> {
  const now = await tx.first<Erasure>('select stage, log, seq from erasure where account = $1', [account])
  return now?.stage === stage && now.log === log && now.seq === seq
}

async function moveOn(tx: Transaction, { account }: Erasure, stage: Stage, log = 0, seq = 0): Promise<void> {
  await tx.query('update erasure set stage = $2, log = $3, seq = $4 where account = $1', [
    account,
    stage,
    log,
    seq,
  ])
}

// ---------------------------------------------------------------- people

async function partFromContacts(tx: Transaction, erasure: Erasure): Promise<void> {
  const { account, uid } = erasure
  const peers = await tx.query<Person>(
    `select contact.peer as account, account.uid from contact join account on account.n = contact.peer
     where contact.account = $1 order by account.uid limit $2`,
    [account, CONTACTS_EACH],
  )
  const numbers = peers.map((peer) => peer.account)
  await tx.lockAccounts([account, ...numbers])
  if (!(await isDue(tx, erasure))) return
  if (peers.length === 0) return moveOn(tx, erasure, 'notices')
  const list = tx.list('$2', 'number')
  const known = await tx.query<{ account: number }>(
    `select account from contact where peer = $1 and account in ${list} and state <> 'none'`,
    [account, numbers],
  )
  await tx.query(`delete from contact where account = $1 and peer in ${list}`, [account, numbers])
  await tx.query(`delete from contact where peer = $1 and account in ${list}`, [account, numbers])
  await touchEach(tx, numbers, 'contacts', uid)
  const told = new Set(known.map((row) => row.account))
  // In the order of the names of their logs.
  for (const peer of peers) {
    if (!told.has(peer.account)) continue
    await tell(tx, buildNoticeLog(peer.uid), { uid, kind: 'contact', type: 'removed', body: { uid } })
  }
}

/** Takes the words of the person, and the device, out of what they let others be told: requests, to them and to groups. */
async function forgetNotices(tx: Transaction, erasure: Erasure): Promise<void> {
  const { account, log, seq } = erasure
  const told = await tx.query<{ log: number; seq: number; name: LogId; body: string }>(
    `select entry.log, entry.seq, entry.body, log.name from entry join log on log.n = entry.log
     where entry.account = $1 and entry.kind in ('contact', 'notice') and (entry.log, entry.seq) > ($2, $3)
     order by entry.log, entry.seq limit $4`,
    [account, log, seq, MESSAGES_EACH],
  )
  await tx.lockAccounts([account])
  if (!(await isDue(tx, erasure))) return
  const [first] = told
  if (first === undefined) return moveOn(tx, erasure, 'groups')
  const here = told.filter((entry) => entry.log === first.log)
  await tx.lockLog(first.name)
  for (const entry of here) {
    const { text: _, ...body } = JSON.parse(entry.body) as { text?: string }
    await tx.query('update entry set body = $3, device = null where log = $1 and seq = $2', [
      entry.log,
      entry.seq,
      JSON.stringify(body),
    ])
  }
  await moveOn(tx, erasure, 'notices', first.log, here.at(-1)!.seq)
}

async function leaveGroup(tx: Transaction, erasure: Erasure): Promise<void> {
  const { account, uid } = erasure
  const group = await tx.first<{ name: LogId }>(
    `select log.name from membership join log on log.n = membership.log
     where membership.account = $1 and to_seq is null and log.name like 'g:%' order by log.n limit 1`,
    [account],
  )
  await tx.lockAccounts([account])
  if (!(await isDue(tx, erasure))) return
  if (group === undefined) return moveOn(tx, erasure, 'messages')
  const caller = { uid, device: null }
  try {
    const mine = await lockGroup(tx, caller, group.name)
    if (mine.members > 1) return await leave(tx, caller, mine)
    // Nobody else could own it: a room would stay listed for ever.
    await dissolve(tx, caller, mine)
    await closeWindows(tx, mine, [mine.me])
  } catch (error) {
    if (!(error instanceof WochatError)) throw error
    // It was dissolved already: its window closes all the same.
    const log = (await tx.lockLog(group.name))!
    await tx.letOut(log, [erasure], log.head)
  }
}

// ---------------------------------------------------------------- messages

async function emptyMessages(tx: Transaction, erasure: Erasure): Promise<void> {
  const { account, uid } = erasure
  const found = await tx.first<{ n: number; name: LogId }>(
    `select log.n, log.name from membership join log on log.n = membership.log
     where membership.account = $1 and membership.log >= $2 order by membership.log limit 1`,
    [account, erasure.log],
  )
  await tx.lockAccounts([account])
  if (!(await isDue(tx, erasure))) return
  if (found === undefined) return moveOn(tx, erasure, 'own')
  const log = (await tx.lockLog(found.name))!
  const after = found.n === erasure.log ? erasure.seq : 0
  const through = await emptyStretch(tx, erasure, log, after)
  if (through < log.head) return moveOn(tx, erasure, 'messages', log.n, through)
  if (await hasWritten(tx, account, log)) {
    await tell(tx, log.name, { uid, kind: 'notice', type: 'erased', body: { uid } })
  }
  await moveOn(tx, erasure, 'messages', log.n + 1)
}

/** Empties what the person wrote after a seq, as much as a step may; gives the seq up to which nothing is left. */
async function emptyStretch(
  tx: Transaction,
  erasure: Erasure,
  log: LogFacts,
  after: number,
): Promise<number> {
  const { account, uid } = erasure
  const through = Math.min(log.head, after + ENTRIES_EACH)
  // Of the person's own notices nobody else reads: all go.
  const isOwnLog = log.name === buildNoticeLog(uid)
  const rows = await tx.query<{ seq: number; kind: string }>(
    `select seq, kind from entry where log = $1 and seq > $2 and seq <= $3
       and (account = $4 or $5 = 1) and (
         kind in ('message', '${WITHHELD}', 'edit', 'reaction', 'contact', 'notice')
         or kind = 'group' and type = 'nickname')
       and body <> '{}' order by seq limit $6`,
    [log.n, after, through, account, isOwnLog ? 1 : 0, MESSAGES_EACH],
  )
  for (const { seq, kind } of rows) {
    if (isWritten(kind)) {
      await emptyMessage(tx, { log: log.n, seq, by: uid, reason: REASON })
    } else {
      const body = kind === 'group' ? { uid, nickname: null } : {}
      await tx.query('update entry set body = $3 where log = $1 and seq = $2', [
        log.n,
        seq,
        JSON.stringify(body),
      ])
    }
  }
  const emptied = rows.length === MESSAGES_EACH ? rows.at(-1)!.seq : through
  // From which device, and the names that it gave: they tell sends apart, and there are none any more.
  await tx.query(
    `update entry set device = null, id = null, id_hash = null
     where log = $1 and seq > $2 and seq <= $3 and account = $4 and (device is not null or id is not null)`,
    [log.n, after, emptied, account],
  )
  return takeBackReactions(tx, { log: log.n, account, after, through: emptied })
}

type ReactionStretch = { log: number; account: number; after: number; through: number }

/** Takes back what the person reacted to in a stretch, as much as a step may; gives the seq up to which nothing is left. */
async function takeBackReactions(
  tx: Transaction,
  { log, account, after, through }: ReactionStretch,
): Promise<number> {
  const rows = await tx.query<{ seq: number; emoji: string }>(
    `select seq, emoji from reaction where log = $1 and seq > $2 and seq <= $3 and account = $4
     order by seq limit $5`,
    [log, after, through, account, MESSAGES_EACH],
  )
  for (const [seq, given] of Map.groupBy(rows, (row) => row.seq)) {
    const entry = await tx.first<{ state: string | null }>(
      'select state from entry where log = $1 and seq = $2',
      [log, seq],
    )
    const state = JSON.parse(entry?.state ?? '{}') as EntryState
    const counts = new Map(Object.entries(state.reactions ?? {}))
    for (const { emoji } of given) {
      const count = (counts.get(emoji) ?? 1) - 1
      if (count === 0) counts.delete(emoji)
      else counts.set(emoji, count)
      await tx.query('delete from reaction where log = $1 and seq = $2 and account = $3 and emoji = $4', [
        log,
        seq,
        account,
        emoji,
      ])
    }
    const { reactions: _, ...others } = state
    const next = counts.size === 0 ? others : { ...others, reactions: Object.fromEntries(counts) }
    await tx.query('update entry set state = $3 where log = $1 and seq = $2', [
      log,
      seq,
      Object.keys(next).length === 0 ? null : JSON.stringify(next),
    ])
  }
  // Of the last one there may be more.
  return rows.length === MESSAGES_EACH ? rows.at(-1)!.seq - 1 : through
}

async function hasWritten(tx: Transaction, account: number, { n }: LogFacts): Promise<boolean> {
  const row = await tx.first('select 1 from reader where account = $1 and log = $2 and own > 0', [account, n])
  return row !== undefined
}

// ---------------------------------------------------------------- what is the person's alone

/** Does a piece of the part that the erasure is at; after the last part it goes to the next stage, or is done. */
async function workThrough(
  tx: Transaction,
  erasure: Erasure,
  parts: readonly ErasurePart[],
  next: Stage | null,
): Promise<void> {
  const { account, stage, seq } = erasure
  await tx.lockAccounts([account])
  if (!(await isDue(tx, erasure))) return
  const part = parts[seq]
  if (part !== undefined) {
    if (await part(tx, erasure)) await moveOn(tx, erasure, stage, 0, seq + 1)
  } else if (next !== null) {
    await moveOn(tx, erasure, next)
  } else {
    await tx.query('delete from erasure where account = $1', [account])
  }
}

type Told = { uid: UserId; kind: 'contact' | 'notice'; type: string; body: object }

async function tell(tx: Transaction, log: LogId, entry: Told): Promise<void> {
  await tx.append(log, { ...entry, device: null })
}
