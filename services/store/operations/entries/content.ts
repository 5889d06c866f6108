/**
 * The content of a message: replaced by an edit, or taken away by a recall, at its time, with its author's account, by a
 * moderator. What hangs on it goes along.
 */
import type { EntryState } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import type { SendMarks } from '../../../../protocol/message-types.ts'
import type { Caller } from '../../contract.ts'
import { MENTIONED_ALL } from '../../mentions.ts'
import type { LogFacts, Transaction } from '../transaction.ts'
import type { Message } from './access.ts'

/** Why a message has no content any more, as its `state.recalled.reason` says. */
export type EmptiedReason = 'recalled' | 'expired' | 'erased' | 'moderated'

/** What hangs on one message and goes with its content: bounded by what a message may carry. */
const HANGING_ON_A_MESSAGE = ['mention', 'origin', 'media_use', 'expiry', 'pin', 'replaced_body'] as const
/** Reactions that go at a time: a message may have one of each member and emoji. */
export const REACTIONS_FORGOTTEN_EACH = 500

/**
 * Deletes what hangs on a message whose body was emptied. `log` is the number of the log. Of more reactions than go at a
 * time, which nobody is shown any more, the rest waits as an expiry that is due (expiry-tasks.ts). Answers how many went.
 */
export async function forgetContent(tx: Transaction, log: number, seq: number): Promise<number> {
  for (const table of HANGING_ON_A_MESSAGE) {
    await tx.query(`delete from ${table} where log = $1 and seq = $2`, [log, seq])
  }
  await tx.search.drop(log, seq)
  const reactions = await tx.query(
    `delete from reaction where log = $1 and seq = $2 and (emoji, account) in (
       select emoji, account from reaction where log = $1 and seq = $2 limit $3) returning 1 as one`,
    [log, seq, REACTIONS_FORGOTTEN_EACH],
  )
  if (reactions.length === REACTIONS_FORGOTTEN_EACH)
    await tx.query('insert into expiry (log, seq, due_at) values ($1, $2, $3)', [log, seq, tx.now])
  return reactions.length
}

/**
 * Empties a message for everybody and for ever, also in the entry of its last edit; its place in the log stays, and its
 * state says what happened. `log` is the number of the log, which the caller has locked. Appends nothing: that is the
 * caller's to do.
 */
export async function emptyMessage(
  tx: Transaction,
  { log, seq, by, reason }: { log: number; seq: number; by: UserId; reason: EmptiedReason },
): Promise<void> {
  const row = await tx.first<{ state: string | null }>(
    'select state from entry where log = $1 and seq = $2',
    [log, seq],
  )
  const before = JSON.parse(row?.state ?? '{}') as EntryState
  await emptyEdit(tx, log, seq, before)
  const state: EntryState = { recalled: { at: tx.now, by, reason } }
  await tx.query(`update entry set body = '{}', state = $3 where log = $1 and seq = $2`, [
    log,
    seq,
    JSON.stringify(state),
  ])
  await forgetContent(tx, log, seq)
}

/** Takes the content out of the entry of a message's last edit: only the last one holds any. */
async function emptyEdit(tx: Transaction, log: number, seq: number, { edited }: EntryState): Promise<void> {
  if (edited?.seq === undefined) return
  await tx.query('update entry set body = $3 where log = $1 and seq = $2', [
    log,
    edited.seq,
    JSON.stringify({ seq, count: edited.count }),
  ])
}

// ---------------------------------------------------------------- replacing

export type NewContent = {
  caller: Caller
  log: LogFacts
  message: Message
  /** Checked against the type of the message. */
  body: Record<string, unknown>
  marks: SendMarks | null
}

/** Replaces the content of a message in its row and tells of it; nobody is told of one that is withheld. */
export async function replaceContent(tx: Transaction, content: NewContent): Promise<void> {
  await assertFilesUsable(tx, content)
  await putContent(tx, content)
}

/** {@link replaceContent} by less of what the message has. */
export async function putContent(tx: Transaction, content: NewContent): Promise<void> {
  const { log, message, body, marks } = content
  const { seq, state } = message
  const count = (state.edited?.count ?? 0) + 1
  await emptyEdit(tx, log.n, seq, state)
  const told = message.isWithheld ? {} : { seq: await tellEdit(tx, content, count) }
  const edited: EntryState = { ...state, edited: { at: tx.now, count, ...told } }
  await tx.query('update entry set body = $3, state = $4 where log = $1 and seq = $2', [
    log.n,
    seq,
    JSON.stringify(body),
    JSON.stringify(edited),
  ])
  await saveMentions(tx, log.n, message, marks?.mentions ?? [])
  await saveFiles(tx, log.n, seq, marks?.media ?? [])
}

async function tellEdit(
  tx: Transaction,
  { caller: { uid, device }, log, message: { seq }, body }: NewContent,
  count: number,
): Promise<number> {
  const isPersonal = await isUnseenBySome(tx, log.n, seq)
  const entry = { kind: 'edit', uid, device, type: 'edited', body: { seq, body, count }, isPersonal }
  return (await tx.append(log.name, entry)).seq
}

/** Whether people who are told of an edit may not see the message: who came later, or has deleted or cleared it. */
async function isUnseenBySome(tx: Transaction, log: number, seq: number): Promise<boolean> {
  const some = await tx.first(
    `select 1 as one where exists (select 1 from membership where log = $1 and from_seq > $2 and to_seq is null)
       or exists (select 1 from hidden where log = $1 and seq = $2)
       or exists (select 1 from conversation_state where log = $1 and cleared_seq >= $2 and cleared_seq > 0)`,
    [log, seq],
  )
  return some !== undefined
}

async function saveMentions(
  tx: Transaction,
  log: number,
  { seq, author, isWithheld }: Message,
  mentions: NonNullable<SendMarks['mentions']>,
): Promise<void> {
  await tx.query('delete from mention where log = $1 and seq = $2', [log, seq])
  if (isWithheld) return
  if (mentions === 'all') {
    await tx.query('insert into mention (account, log, seq) values ($1, $2, $3)', [MENTIONED_ALL, log, seq])
    return
  }
  await tx.query(
    `insert into mention (account, log, seq)
     select account.n, cast($2 as bigint), cast($3 as bigint)
     from ${tx.list('$1', 'text')} as wanted
     join account on account.uid = wanted.value
     where account.n <> $4 and 1 = (
       select 1 from membership
       where membership.account = account.n and membership.log = $2 and membership.to_seq is null)`,
    [mentions, log, seq, author],
  )
}

/** Refuses `unknown_media`: a file that the message does not carry yet must be the author's own. */
async function assertFilesUsable(tx: Transaction, { log, message, marks }: NewContent): Promise<void> {
  const files = marks?.media ?? []
  if (files.length === 0) return
  const rows = await tx.query<{ id: string }>(
    `select id from media where id in ${tx.list('$1', 'text')} and state = 'ready' and retired_at is null and (account = $2 or exists (
       select 1 from media_use where media_use.media = media.id and media_use.log = $3 and media_use.seq = $4))`,
    [files, message.author, log.n, message.seq],
  )
  if (rows.length < files.length) throw new WochatError('unknown_media')
}

async function saveFiles(tx: Transaction, log: number, seq: number, files: readonly string[]): Promise<void> {
  await tx.query('delete from media_use where log = $1 and seq = $2', [log, seq])
  if (files.length === 0) return
  await tx.query(
    `insert into media_use (media, log, seq)
     select wanted.value, cast($2 as bigint), cast($3 as bigint) from ${tx.list('$1', 'text')} as wanted`,
    [files, log, seq],
  )
}
