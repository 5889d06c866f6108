/**
 * The last of an erased account: rows that are about the person alone, table by table, in parts that each do a bounded
 * piece of their work at a time. What stays of an account, and why, is listed in the contract of an erasure
 * (test/contract/store/erasure-contract.ts), which looks through every table.
 */

import type { Person, Transaction } from '../transaction.ts'
import { takeBackForwarded } from './erasure-forwarded.ts'

/** Rows of one table that go at a time. */
const ROWS_EACH = 500
/** Sessions and retained messages that go at a time, and files. */
const ENDED_EACH = 100

/** Does a bounded piece; true when nothing is left of it. */
export type ErasurePart = (tx: Transaction, person: Person) => Promise<boolean>

/** A part that deletes a person's rows; `key` names a row, `column` has the person. */
function rowsOf(table: string, key: string, column = 'account'): ErasurePart {
  return async (tx, { account }) => {
    const deleted = await tx.query(
      `delete from ${table} where ${column} = $1 and (${key}) in (
         select ${key} from ${table} where ${column} = $1 limit $2) returning 1`,
      [account, ROWS_EACH],
    )
    return deleted.length < ROWS_EACH
  }
}

const endOwnSpace: ErasurePart = (tx, { uid }) => tx.endOwnSpace(uid, ENDED_EACH)

export const OWN_PARTS: readonly ErasurePart[] = [
  rowsOf('setting', 'name'),
  rowsOf('change', 'scope, key'),
  rowsOf('conversation_state', 'log'),
  rowsOf('hidden', 'log, seq'),
  rowsOf('mention', 'log, seq'),
  rowsOf('scheduled_send', 'id'),
  rowsOf('request', 'id'),
  rowsOf('join_request', 'log'),
  rowsOf('join_request', 'log, account', 'invited_by'),
  // After the messages, because it tells where the person wrote.
  rowsOf('reader', 'log'),
  forgetNicknames,
  standBackFromReports,
  forgetBanReasons,
  // Before the files, of which these are uses.
  takeBackForwarded,
  removeFiles,
  endOwnSpace,
]

/**
 * They go later: nodes that are cut off for a while learn from these rows which connections must end, and what such a
 * connection leaves behind goes with them.
 */
export const LOGIN_PARTS: readonly ErasurePart[] = [
  // What was on its way when the others went.
  takeBackForwarded,
  endOwnSpace,
  rowsOf('request', 'id'),
  rowsOf('api_key', 'id'),
  rowsOf('login', 'sid'),
  rowsOf('device', 'id'),
]

/** Windows of groups stay, as part of the history of others; what the person was called there does not. */
async function forgetNicknames(tx: Transaction, { account }: Person): Promise<boolean> {
  const named = await tx.query(
    `update membership set nickname = null where account = $1 and (log, from_seq) in (
       select log, from_seq from membership where account = $1 and nickname is not null limit $2) returning 1`,
    [account, ROWS_EACH],
  )
  return named.length < ROWS_EACH
}

/** Reports protect others, and stay; who made them and in what words does not. */
async function standBackFromReports(tx: Transaction, { account }: Person): Promise<boolean> {
  const made = await tx.query(
    `update report set reporter = 0, text = null where n in (
       select n from report where reporter = $1 limit $2) returning 1`,
    [account, ROWS_EACH],
  )
  return made.length < ROWS_EACH
}

/** A ban stays, because it protects the group; why they banned somebody does not. */
async function forgetBanReasons(tx: Transaction, { account }: Person): Promise<boolean> {
  const explained = await tx.query(
    `update group_ban set reason = null where (log, account) in (
       select log, account from group_ban where banned_by = $1 and reason is not null limit $2) returning 1`,
    [account, ROWS_EACH],
  )
  return explained.length < ROWS_EACH
}

/**
 * Hands the files to the sweep, which removes their bytes. A file that others sent on in messages of their own is part of
 * these: it stays as nobody's and without its name, until the last of them is gone.
 */
async function removeFiles(tx: Transaction, { account }: Person): Promise<boolean> {
  const rows = await tx.query<{ id: string }>(
    `select id from media where account = $1 and state <> 'deleted' order by made_at, id limit $2`,
    [account, ENDED_EACH],
  )
  if (rows.length === 0) return true
  const ids = rows.map(({ id }) => id)
  const named = tx.list('$1', 'text')
  await tx.query(`update chat_group set avatar = null where avatar in ${named}`, [ids])
  await tx.query(
    `update media set account = 0, name = null where id in ${named} and state = 'ready'
       and exists (select 1 from media_use where media_use.media = media.id)`,
    [ids],
  )
  await tx.query(`update media set state = 'deleted' where id in ${named} and account = $2`, [ids, account])
  return false
}
