/** Moving in from another system: accounts, friendships, and messages that keep their times. */
import { WochatError } from '../../../../protocol/errors.ts'
import { buildDirectLog, type LogId, parseLog, parseUserId, type UserId } from '../../../../protocol/ids.ts'
import { checkBody } from '../../../../protocol/message-types.ts'
import { idHash } from '../../id-hash.ts'
import { touch } from '../changes.ts'
import { readAll } from '../history/imported-reading.ts'
import type { LogFacts, Person, Transaction } from '../transaction.ts'
import type { OperatorOperations } from './operator.ts'

export const importOperations: OperatorOperations<'importAccounts' | 'importContacts' | 'importMessages'> = {
  async importAccounts(tx, { accounts }) {
    const wanted = new Map(accounts.map((account) => [readUid(account.uid), account]))
    if (wanted.size < accounts.length) throw new WochatError('bad_request', 'accounts: a uid comes twice')
    const phones = accounts.flatMap(({ phone }) => (phone === undefined ? [] : [phone]))
    if (new Set(phones).size < phones.length) {
      throw new WochatError('bad_request', 'accounts: a phone comes twice')
    }
    const rows = await tx.query<{ uid: UserId; phone: string | null }>(
      `select uid, phone from account
       where uid in ${tx.list('$1', 'text')} or phone in ${tx.list('$2', 'text')}`,
      [[...wanted.keys()], phones],
    )
    const known = new Map(rows.map((row) => [row.uid, row]))
    for (const { uid, phone } of rows) {
      if (wanted.get(uid) === undefined) throw new WochatError('uid_fixed', undefined, { details: { phone } })
    }
    for (const [uid, { phone }] of wanted) {
      const taken = known.get(uid)
      if (taken !== undefined && phone !== undefined && phone !== taken.phone) {
        throw new WochatError('uid_taken', undefined, { details: { uid } })
      }
    }
    const made = [...wanted].filter(([uid]) => !known.has(uid))
    // In the order of their uids, as every transaction that makes several.
    made.sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [uid, { phone, name }] of made) {
      const account = await tx.ensureAccount(uid)
      if (phone !== undefined) await tx.query('update account set phone = $2 where n = $1', [account, phone])
      if (name === undefined) continue
      await tx.query(
        `insert into profile (account, name, attributes, changed_at) values ($1, $2, '{}', $3)
         on conflict (account) do nothing`,
        [account, name, tx.now],
      )
    }
    return { made: made.length, known: known.size }
  },

  async importContacts(tx, { pairs }) {
    const people = await findPeople(
      tx,
      pairs.flatMap(({ a, b }) => [a, b]),
    )
    await tx.lockAccounts([...people.values()])
    const friends = new Map<Person, Set<UserId>>()
    const person = new Map([...people].map(([uid, account]) => [uid, { uid, account }]))
    for (const { a, b } of pairs) {
      if (a === b) throw new WochatError('bad_request', `pairs: ${a} with itself`)
      for (const [one, other] of [[a, b] as const, [b, a] as const]) {
        const key = person.get(one as UserId)!
        friends.set(key, (friends.get(key) ?? new Set()).add(other as UserId))
      }
    }
    const unique = new Set(pairs.map(({ a, b }) => buildDirectLog(a as UserId, b as UserId)))
    let sides = 0
    const inOrder = [...friends].sort(([a], [b]) => a.account - b.account)
    for (const [me, others] of inOrder) await assertRoomFor(tx, me, others.size)
    for (const [me, others] of inOrder) {
      const changed: string[] = []
      for (const other of others) {
        if (await putFriend(tx, me, person.get(other)!)) changed.push(other)
      }
      sides += changed.length
      if (changed.length > 0) await touch(tx, me.account, 'contacts', ...changed)
    }
    const made = Math.ceil(sides / 2)
    return { made, known: unique.size - made }
  },

  async importMessages(tx, { log: name, messages }) {
    const parsed = parseLog(name)
    if (parsed?.kind !== 'direct' && parsed?.kind !== 'group') {
      throw new WochatError('bad_request', 'log: a direct or a group conversation')
    }
    if (parsed.kind === 'direct' && messages.some(({ from }) => from !== parsed.a && from !== parsed.b)) {
      throw new WochatError('not_member', 'from: somebody else than the two')
    }
    const ends = parsed.kind === 'direct' ? [parsed.a, parsed.b] : []
    const authors = await findPeople(tx, [...messages.map(({ from }) => from), ...ends])
    for (const { type = 'text', body } of messages) checkBody(type, body)
    const known = await findStored(tx, parsed.log, messages, authors)
    const added = messages.filter((_, i) => !known.has(i))
    const found = await tx.lockLog(parsed.log)
    if (found === undefined && parsed.kind === 'group') throw new WochatError('unknown_group')
    if (added.length === 0) return { stored: 0, known: known.size, head: found?.head ?? 0 }
    if (found !== undefined && parsed.kind === 'group') await assertMembers(tx, found, authors)
    await assertOrder(tx, found, added)
    const log = found ?? (await createDirectLog(tx, parsed.log, ends, authors))
    if (log.messages === 0) await moveBeginning(tx, log, added[0]!.at)
    const head = await putMessages(tx, log, added, authors)
    return { stored: added.length, known: known.size, head }
  },
}

type Message = { from: string; at: number; id: string; type?: string; body: Record<string, unknown> }

function readUid(text: string): UserId {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', 'uid: not a uid')
  return uid
}

/** Accounts by uid, all of which there are; `unknown_user` names those that there are not. */
async function findPeople(tx: Transaction, uids: readonly string[]): Promise<Map<UserId, number>> {
  const unique = [...new Set(uids)]
  const rows = await tx.query<{ uid: UserId; n: number }>(
    `select uid, n from account where uid in ${tx.list('$1', 'text')}`,
    [unique],
  )
  const people = new Map(rows.map(({ uid, n }) => [uid, n]))
  const unknown = unique.filter((uid) => !people.has(uid as UserId))
  if (unknown.length > 0) throw new WochatError('unknown_user', undefined, { details: { uids: unknown } })
  return people
}

// ---------------------------------------------------------------- contacts

async function assertRoomFor(tx: Transaction, { account, uid }: Person, more: number): Promise<void> {
  const row = await tx.first<{ contacts: number }>(
    'select count(*) as contacts from contact where account = $1',
    [account],
  )
  if (row!.contacts + more > tx.policy.contactsMax) {
    throw new WochatError('too_many_contacts', undefined, { details: { uid } })
  }
}

/** One side of a friendship; false when it is there. What the person says of the other beside it stays. */
async function putFriend(tx: Transaction, person: Person, of: Person): Promise<boolean> {
  const changed = await tx.query(
    `insert into contact (account, peer, state, blocked, text, changed_at) values ($1, $2, 'friend', 0, null, $3)
     on conflict (account, peer) do update set state = 'friend', text = null, changed_at = excluded.changed_at
       where contact.state <> 'friend'
     returning account`,
    [person.account, of.account, tx.now],
  )
  if (changed.length > 0) tx.writersChanged(buildDirectLog(person.uid, of.uid), of.uid)
  return changed.length > 0
}

// ---------------------------------------------------------------- messages

/** The places of those that are stored already; `id_conflict` when it was something else. */
async function findStored(
  tx: Transaction,
  log: LogId,
  messages: readonly Message[],
  authors: ReadonlyMap<UserId, number>,
): Promise<Set<number>> {
  const hashOf = ({ from, id }: Message) => idHash(authors.get(from as UserId)!, id)
  const rows = await tx.query<{ account: number; id: string; name: string; type: string; body: string }>(
    `select entry.account, entry.id, log.name, entry.type, entry.body
     from entry join log on log.n = entry.log where entry.id_hash in ${tx.list('$1', 'number')}`,
    [messages.map(hashOf)],
  )
  const stored = new Map(rows.map((row) => [`${row.account} ${row.id}`, row]))
  const seen = new Set<string>()
  const known = new Set<number>()
  for (const [i, message] of messages.entries()) {
    const key = `${authors.get(message.from as UserId)} ${message.id}`
    if (seen.has(key)) throw new WochatError('bad_request', 'messages: an id comes twice')
    seen.add(key)
    const row = stored.get(key)
    if (row === undefined) continue
    const isSame = row.name === log && row.type === (message.type ?? 'text')
    if (!isSame || row.body !== JSON.stringify(message.body)) {
      throw new WochatError('id_conflict', undefined, { details: { id: message.id } })
    }
    known.add(i)
  }
  return known
}

async function createDirectLog(
  tx: Transaction,
  name: LogId,
  ends: readonly UserId[],
  people: ReadonlyMap<UserId, number>,
): Promise<LogFacts> {
  await tx.query(
    `insert into log (name, epoch, head, messages, first, last_at) values ($1, 1, 0, 0, 1, 0)
     on conflict (name) do nothing`,
    [name],
  )
  tx.logRewritten(name)
  const log = (await tx.lockLog(name))!
  for (const account of new Set(ends.map((uid) => people.get(uid)!))) {
    await tx.query(
      `insert into membership (account, log, from_seq, to_seq, joined_at) values ($1, $2, 1, null, $3)
       on conflict do nothing`,
      [account, log.n, tx.now],
    )
    await tx.query(
      `insert into reader (account, log, read_seq, read_messages, own, read_own) values ($1, $2, 0, 0, 0, 0)
       on conflict do nothing`,
      [account, log.n],
    )
  }
  return log
}

/** Who wrote in a group is in it, or was. */
async function assertMembers(
  tx: Transaction,
  log: LogFacts,
  authors: ReadonlyMap<UserId, number>,
): Promise<void> {
  const rows = await tx.query<{ account: number }>(
    `select distinct account from membership where log = $1 and account in ${tx.list('$2', 'number')}`,
    [log.n, [...authors.values()]],
  )
  const members = new Set(rows.map(({ account }) => account))
  const strangers = [...authors].filter(([, account]) => !members.has(account)).map(([uid]) => uid)
  if (strangers.length > 0) throw new WochatError('not_member', undefined, { details: { uids: strangers } })
}

/** Time never goes back within a log, unless it has no message yet. */
async function assertOrder(
  tx: Transaction,
  log: LogFacts | undefined,
  messages: readonly Message[],
): Promise<void> {
  const isOrdered = messages.every(({ at }, i) => i === 0 || messages[i - 1]!.at <= at)
  if (!isOrdered || messages.at(-1)!.at > tx.now) throw new WochatError('not_in_order')
  if (log === undefined || log.messages === 0) return
  const row = await tx.first<{ last_at: number }>('select last_at from log where n = $1', [log.n])
  if (messages[0]!.at < row!.last_at) throw new WochatError('not_in_order')
}

/** A log without a message was made for what is moved in: what it says of its making is moved before the first message. */
async function moveBeginning(tx: Transaction, log: LogFacts, first: number): Promise<void> {
  await tx.query('update entry set at = $2 where log = $1 and at > $2', [log.n, first])
}

/** Writes the entries behind the head, where nobody's device is told of them; answers the new head. */
async function putMessages(
  tx: Transaction,
  log: LogFacts,
  messages: readonly Message[],
  authors: ReadonlyMap<UserId, number>,
): Promise<number> {
  const own = new Map<number, number>()
  for (const [i, { from, at, id, type = 'text', body }] of messages.entries()) {
    const account = authors.get(from as UserId)!
    own.set(account, (own.get(account) ?? 0) + 1)
    await tx.query(
      `insert into entry (log, seq, message_no, at, kind, account, device, id, id_hash, type, body)
       values ($1, $2, $3, $4, 'message', $5, null, $6, $7, $8, $9)`,
      [
        log.n,
        log.head + i + 1,
        log.messages + i + 1,
        at,
        account,
        id,
        idHash(account, id),
        type,
        JSON.stringify(body),
      ],
    )
    const { origins = [] } = checkBody(type, body) ?? {}
    if (origins.length > 0) {
      await tx.query(
        `insert into origin (account, log, seq)
         select n, cast($2 as bigint), cast($3 as bigint) from account
         where uid in ${tx.list('$1', 'text')} and n <> $4`,
        [origins, log.n, log.head + i + 1, account],
      )
    }
  }
  const head = log.head + messages.length
  await tx.query('update log set head = $2, messages = $3, last_at = $4 where n = $1', [
    log.n,
    head,
    log.messages + messages.length,
    messages.at(-1)!.at,
  ])
  for (const [account, count] of own) {
    await tx.query('update reader set own = own + $3 where account = $1 and log = $2', [
      account,
      log.n,
      count,
    ])
  }
  await readAll(tx, log)
  tx.logRewritten(log.name)
  return head
}
