/**
 * Accounts that are no people: bots, and system accounts of the operator. They log in with API keys. A key is a login of
 * one device, without an end and without a refresh token; what ends logins, ends it, and its connections close.
 */
import { createHash, randomBytes } from 'node:crypto'
import { API_KEYS_PER_BOT_MAX } from '../../../../protocol/admin/bots.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../../../../protocol/ids.ts'
import { setAccountState } from '../people/account-state.ts'
import type { Person, Transaction } from '../transaction.ts'
import type { OperatorOperations } from './operator.ts'

const KEY_BYTES = 32
const KEY_ID_BYTES = 8
const DEVICE_DEFAULT = 'bot'
const KEYS_LISTED_MAX = 500

/** From whom an account takes messages: null, as the rules of the server say. */
type Takes = 'all' | 'none' | null

export const botOperations: OperatorOperations<
  'addBot' | 'addSystemAccount' | 'addApiKey' | 'apiKeys' | 'endApiKey' | 'removeBot'
> = {
  async addBot(tx, { uid, name, open = false }) {
    await putAccount(tx, { uid, name, kind: 'bot', takes: open ? 'all' : null })
    return { uid, open }
  },

  async addSystemAccount(tx, { uid, name, replies = false }) {
    await putAccount(tx, { uid, name, kind: 'system', takes: replies ? 'all' : 'none' })
    return { uid, replies }
  },

  async addApiKey(tx, { uid, name, device = DEVICE_DEFAULT }) {
    const { account } = await lockBot(tx, uid)
    // One that was removed is none until it is added again.
    if ((await readAccount(tx, account)).state !== 'active') throw new WochatError('not_a_bot')
    const holder = parseDeviceId(device)
    if (holder === undefined) throw new WochatError('bad_request', 'device: not a device id')
    const row = await tx.first<{ keys: number }>(
      'select count(*) as keys from api_key where account = $1 and ended_at is null',
      [account],
    )
    if (row!.keys >= API_KEYS_PER_BOT_MAX) throw new WochatError('too_many_keys')
    const key = `wck_${randomBytes(KEY_BYTES).toString('base64url')}`
    const hash = hashApiKey(key)
    const id = randomBytes(KEY_ID_BYTES).toString('hex')
    await tx.query('insert into api_key (hash, id, account, name, made_at) values ($1, $2, $3, $4, $5)', [
      hash,
      id,
      account,
      name,
      tx.now,
    ])
    // It is over for whoever would refresh it, and stands until it is ended.
    await tx.query(
      `insert into login (sid, account, device, refresh_hash, created_at, expires_at)
       values ($1, $2, $3, '', $4, 0)`,
      [loginOf(hash), account, holder, tx.now],
    )
    return { id, key, device: holder }
  },

  async apiKeys(tx, { uid }) {
    const { account } = await findBot(tx, uid)
    const keys = await tx.query<{
      id: string
      name: string
      device: string
      madeAt: number
      endedAt: number | null
    }>(
      `select api_key.id, api_key.name, coalesce(login.device, '') as device, api_key.made_at as "madeAt",
         coalesce(api_key.ended_at, login.ended_at) as "endedAt"
       from api_key left join login on login.sid = 'key:' || api_key.hash
       where api_key.account = $1 order by api_key.made_at, api_key.id limit $2`,
      [account, KEYS_LISTED_MAX],
    )
    return { keys }
  },

  async endApiKey(tx, { id }) {
    const row = await tx.first<{ account: number }>('select account from api_key where id = $1', [id])
    if (row === undefined) throw new WochatError('unknown_key')
    await tx.lockAccounts([row.account])
    const person = { account: row.account, uid: await tx.uidOf(row.account) }
    await endKeys(tx, person, id)
    return { id, uid: person.uid }
  },

  async removeBot(tx, { uid }) {
    const bot = await lockBot(tx, uid)
    await endKeys(tx, bot, null)
    await setAccountState(tx, bot, 'deactivated')
    return { uid: bot.uid }
  },
}

export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

function loginOf(hash: string): string {
  return `key:${hash}`
}

type SpecialAccount = { uid: string; name: string; kind: 'bot' | 'system'; takes: Takes }

async function putAccount(tx: Transaction, { uid: text, name, kind, takes }: SpecialAccount): Promise<void> {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', 'uid: not a uid')
  const known = await tx.findAccount(uid)
  const row = known === undefined ? undefined : await readAccount(tx, known)
  if (row !== undefined && (row.kind !== kind || row.state === 'erased')) throw new WochatError('uid_taken')
  const person = { uid, account: known ?? (await tx.ensureAccount(uid)) }
  await tx.lockAccounts([person.account])
  await tx.query('update account set kind = $2, takes = $3 where n = $1', [person.account, kind, takes])
  await tx.query(
    `insert into profile (account, name, attributes, changed_at) values ($1, $2, '{}', $3)
     on conflict (account) do update set name = excluded.name, changed_at = excluded.changed_at`,
    [person.account, name, tx.now],
  )
  await setAccountState(tx, person, 'active')
}

type AccountRow = { kind: string; state: string }

async function readAccount(tx: Transaction, account: number): Promise<AccountRow> {
  return (await tx.first<AccountRow>('select kind, state from account where n = $1', [account]))!
}

/** A bot or a system account; `not_a_bot` when it is none. */
async function findBot(tx: Transaction, uid: string): Promise<Person> {
  const account = await tx.findAccount(uid)
  const kind = account === undefined ? 'person' : (await readAccount(tx, account)).kind
  if (account === undefined || kind === 'person') throw new WochatError('not_a_bot')
  return { account, uid: uid as UserId }
}

async function lockBot(tx: Transaction, uid: string): Promise<Person> {
  const bot = await findBot(tx, uid)
  await tx.lockAccounts([bot.account])
  return bot
}

/** Ends one key of a bot, or all of them. The sessions of its devices stay, for the next key. */
async function endKeys(tx: Transaction, { account, uid }: Person, id: string | null): Promise<void> {
  const ended = await tx.query<{ hash: string }>(
    `update api_key set ended_at = $2 where account = $1 and ended_at is null and id = coalesce($3, id)
     returning hash`,
    [account, tx.now, id],
  )
  for (const { hash } of ended) {
    const sid = loginOf(hash)
    const logins = await tx.query<{ device: DeviceId }>(
      'update login set ended_at = $2 where sid = $1 and ended_at is null returning device',
      [sid, tx.now],
    )
    for (const { device } of logins) tx.loginEnded(uid, device, sid)
  }
}

/** What a key that stands says of its holder. */
export type KeyHolder = { uid: UserId; device: DeviceId; sid: string; madeAt: number }

export const botTasks = {
  async findApiKey(tx: Transaction, { hash }: { hash: string }): Promise<KeyHolder | null> {
    const row = await tx.first<{ account: number; device: DeviceId; made_at: number }>(
      `select api_key.account, login.device, api_key.made_at
       from api_key join login on login.sid = 'key:' || api_key.hash and login.ended_at is null
       where api_key.hash = $1 and api_key.ended_at is null`,
      [hash],
    )
    if (row === undefined) return null
    return { uid: await tx.uidOf(row.account), device: row.device, sid: loginOf(hash), madeAt: row.made_at }
  },
} as const
