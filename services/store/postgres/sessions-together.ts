/**
 * Sessions of many devices in one statement: the usual cases of what sessions.ts does one by one. Rows that somebody
 * else holds are left out, so that no statement waits, and none is part of a deadlock.
 */
import type { AccountStore, OpenedSession, SessionStore } from '../contract.ts'
import { int2Array, int8Array, textArray } from './array-values.ts'
import type { Answer, Together } from './gathered-calls.ts'
import { SEEN_EVERY_MS } from './sessions.ts'
import type { Work } from './work.ts'

type Calls = SessionStore & Pick<AccountStore, 'checkLogin'>
type Input<Name extends keyof Calls> = Parameters<Calls[Name]>[0]

const DONE = { result: undefined }

// ---------------------------------------------------------------- CONNECT

/**
 * Takes over the sessions of devices that come back: listed, not revoked nor suspended, with a session that is not over and no will
 * that waits. $1 client ids, $2 sids, $3 when the tokens were issued (ms), $4 this node, $5 how often a device is
 * noted (ms).
 *
 * The account need not be held. Who ends a login or a device ends its session with it: either that waits for the row
 * of the session that is held here, or the session is gone. Who suspends the account does not wait, and closes what was
 * opened meanwhile by {@link CommitFeed.loginEnded}, which comes after this began. Run again after a lost connection, the generation is
 * raised once more, which only says that what was in flight to the device is sent anew.
 */
const OPEN = `
  with clock as materialized (
    select (extract(epoch from statement_timestamp()) * 1000)::bigint as now
  ), opened as materialized (
    select asked.i, s.n, s.account, device.id as device, device.seen_at
    from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality as asked (client_id, sid, issued_at, i)
    cross join clock
    cross join lateral (
      select n, account, device from session
      where session.client_id = asked.client_id and (expires_at is null or expires_at > clock.now)
      for no key update skip locked
    ) s
    join device on device.account = s.account and device.id = s.device
      and (device.revoked_at is null or device.seen_at > device.revoked_at)
    join account on account.n = s.account
      and (account.suspended_until is null or account.suspended_until <= clock.now)
    where case
      when asked.sid is null then coalesce(device.revoked_at / 1000 * 1000 < asked.issued_at, true)
      else exists (
        select from login where login.sid = asked.sid and login.ended_at is null
          and login.account = s.account and login.device = s.device)
      end
      and not exists (select from plain_will w where w.client_id = asked.client_id and w.publish_at is not null)
  ), seen as (
    update device set seen_at = greatest(device.seen_at, free.now)
    from (
      select d.account, d.id, clock.now from opened cross join clock
      join device d on d.account = opened.account and d.id = opened.device
      where opened.seen_at <= clock.now - $5::bigint
      for no key update of d skip locked
    ) free
    where device.account = free.account and device.id = free.id
  )
  update session set generation = session.generation + 1, expires_at = null, node = $4
  from opened where session.n = opened.n
  returning opened.i, session.n, session.account, session.generation, session.inbox_qos, session.reply,
    session.live, exists (select from plain_session p where p.client_id = session.client_id) as plain`

type OpenedRow = {
  i: number
  n: number
  account: number
  generation: number
  inbox_qos: 0 | 1 | null
  reply: number
  live: number
  plain: boolean
}

export const openSessions: Together<Input<'openSession'>, OpenedSession> = async (work, inputs) => {
  const answers = new Array<Answer<OpenedSession>>(inputs.length).fill(null)
  const places = [...inputs.keys()].filter((i) => !inputs[i]!.cleanStart)
  if (places.length === 0) return answers
  const asked = places.map((i) => inputs[i]!)
  const rows = await work.query<OpenedRow>(OPEN, [
    textArray(asked.map(({ clientId }) => clientId)),
    textArray(asked.map(({ sid }) => sid)),
    int8Array(asked.map(issuedAtOf)),
    work.node,
    SEEN_EVERY_MS,
  ])
  for (const row of rows) {
    const i = places[row.i - 1]!
    work.learnAccount(inputs[i]!.uid, row.account)
    const subscriptions = { inbox: row.inbox_qos, reply: row.reply === 1, live: row.live === 1 }
    const { n: session, generation, plain } = row
    answers[i] = { result: { session, generation, present: true, subscriptions, plain } }
  }
  return answers
}

/** $1 uids, $2 devices, $3 sids, $4 when the tokens were issued (ms); the rows of those that stand. */
const STANDING = `
  select asked.i, account.n
  from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) with ordinality
    as asked (uid, device, sid, issued_at, i)
  cross join lateral (
    select n from account where account.uid = asked.uid and account.state = 'active' and (
      account.suspended_until is null
      or account.suspended_until <= (extract(epoch from statement_timestamp()) * 1000)::bigint
    ) offset 0
  ) account
  left join lateral (
    select revoked_at from device where device.account = account.n and device.id = asked.device offset 0
  ) device on true
  where case
    when asked.sid is null then coalesce(device.revoked_at / 1000 * 1000 < asked.issued_at, true)
    else exists (
      select from login where login.sid = asked.sid and login.ended_at is null and login.account = account.n
        and (asked.device is null or login.device = asked.device))
    end`

/** A login that does not stand, or whose account is new, is looked at alone. */
export const checkLogins: Together<Input<'checkLogin'>, void> = async (work, inputs) => {
  const answers = new Array<Answer<void>>(inputs.length).fill(null)
  const rows = await work.query<{ i: number; n: number }>(STANDING, [
    textArray(inputs.map(({ uid }) => uid)),
    textArray(inputs.map(({ device }) => device)),
    textArray(inputs.map(({ sid }) => sid)),
    int8Array(inputs.map(issuedAtOf)),
  ])
  for (const { i, n } of rows) {
    work.learnAccount(inputs[i - 1]!.uid, n)
    answers[i - 1] = DONE
  }
  return answers
}

/** As a whole number of ms, as the column it is compared with. */
function issuedAtOf({ issuedAt }: { issuedAt: number }): number {
  return Math.max(0, Math.floor(issuedAt))
}

// ---------------------------------------------------------------- what else a connection writes

/** $1 sessions, $2 generations, $3 when they end (ms). */
const CLOSE = `
  with held as materialized (
    select asked.i, s.n, asked.expires_at
    from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality as asked (n, generation, expires_at, i)
    cross join lateral (
      select n from session where session.n = asked.n and session.generation = asked.generation
      for no key update skip locked
    ) s
  )
  update session set expires_at = held.expires_at from held where session.n = held.n returning held.i`

/** Sessions that stay for a time; ending one takes more. */
export const closeSessions: Together<Input<'closeSession'>, void> = async (work, inputs) => {
  const places = [...inputs.keys()].filter((i) => inputs[i]!.expiresAt !== null)
  return answerWritten(work, inputs.length, places, CLOSE, [
    int8Array(places.map((i) => inputs[i]!.session)),
    int8Array(places.map((i) => inputs[i]!.generation)),
    int8Array(places.map((i) => Math.floor(inputs[i]!.expiresAt!))),
  ])
}

/** $1 sessions, $2 generations, $3 inbox QoS or -1, $4 reply, $5 live. */
const SUBSCRIBE = `
  with held as materialized (
    select asked.i, s.n, nullif(asked.inbox, -1) as inbox, asked.reply, asked.live
    from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::smallint[]) with ordinality
      as asked (n, generation, inbox, reply, live, i)
    cross join lateral (
      select n from session where session.n = asked.n and session.generation = asked.generation
      for no key update skip locked
    ) s
  )
  update session set inbox_qos = held.inbox, reply = held.reply, live = held.live
  from held where session.n = held.n returning held.i`

export const saveAllSubscriptions: Together<Input<'saveSubscriptions'>, void> = async (work, inputs) => {
  // An update takes a row once.
  if (new Set(inputs.map(({ session }) => session)).size < inputs.length) return inputs.map(() => null)
  return answerWritten(work, inputs.length, [...inputs.keys()], SUBSCRIBE, [
    int8Array(inputs.map(({ session }) => session)),
    int8Array(inputs.map(({ generation }) => generation)),
    int2Array(inputs.map(({ subscriptions }) => subscriptions.inbox ?? -1)),
    int2Array(inputs.map(({ subscriptions }) => (subscriptions.reply ? 1 : 0))),
    int2Array(inputs.map(({ subscriptions }) => (subscriptions.live ? 1 : 0))),
  ])
}

/** One that was not written is of an older generation, or held by somebody: run alone, it finds out. */
async function answerWritten(
  work: Work,
  count: number,
  places: readonly number[],
  statement: string,
  values: readonly unknown[],
): Promise<Answer<void>[]> {
  const answers = new Array<Answer<void>>(count).fill(null)
  if (places.length === 0) return answers
  for (const { i } of await work.query<{ i: number }>(statement, values)) answers[places[i - 1]!] = DONE
  return answers
}
