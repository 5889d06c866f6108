/** The caps on login codes: how many were sent to a phone and for an address since a window began. */
import type { Work } from './work.ts'

/** Rows whose time is over that one call takes away: more than it makes, so that the tables do not grow for ever. */
const SWEPT_EACH_MAX = 50

type Counter = { windowAt: number; count: number }

/** Forgets codes and counts whose time is over. Rows that another call holds are left to the next one. */
export async function sweepCodes(work: Work, windowMs: number): Promise<void> {
  await work.query(
    `delete from sms_count where key in (
       select key from sms_count where window_at <= $1 order by window_at limit $2 for update skip locked)`,
    [work.now - windowMs, SWEPT_EACH_MAX],
  )
  await work.query(
    `delete from sms_code where phone in (
       select phone from sms_code where expires_at <= $1 order by expires_at limit $2 for update skip locked)`,
    [work.now, SWEPT_EACH_MAX],
  )
}

/**
 * The two counters of a code, locked until the end of the transaction, so that calls at once are all counted. A
 * window that is over begins anew.
 */
export async function openCodeCounters(
  work: Work,
  { phone, address, windowMs }: { phone: string; address: string; windowMs: number },
): Promise<{ phone: Counter; address: Counter }> {
  // One statement a row, in the order of the keys: rows of one statement are locked in no promised order.
  const ofAddress = await openCounter(work, addressKey(address), windowMs)
  const ofPhone = await openCounter(work, phoneKey(phone), windowMs)
  return { phone: ofPhone, address: ofAddress }
}

/** Counts one more code for counters that are open. */
export async function raiseCodeCounters(
  work: Work,
  { phone, address }: { phone: string; address: string },
): Promise<void> {
  await work.query('update sms_count set count = count + 1 where key in ($1, $2)', [
    addressKey(address),
    phoneKey(phone),
  ])
}

async function openCounter(work: Work, key: string, windowMs: number): Promise<Counter> {
  const [row] = await work.query<Counter>(
    `insert into sms_count as known (key, window_at, count) values ($1, $2, 0)
     on conflict (key) do update set
       window_at = case when known.window_at > $3 then known.window_at else excluded.window_at end,
       count = case when known.window_at > $3 then known.count else 0 end
     returning window_at as "windowAt", count`,
    [key, work.now, work.now - windowMs],
  )
  return row!
}

const addressKey = (address: string): string => `a:${address}`
const phoneKey = (phone: string): string => `p:${phone}`
