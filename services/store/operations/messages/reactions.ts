/** Reactions: a row each, and how many of each emoji in the state of the message, under the lock of the log. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import {
  LIST_ITEMS_DEFAULT,
  REACTION_BYTES_MAX,
  REACTIONS_PER_ACCOUNT_MAX,
  REACTIONS_PER_MESSAGE_MAX,
} from '../../../../protocol/limits.ts'
import {
  getMessage,
  getReadable,
  getWholeMessage,
  lockReadable,
  type Message,
  saveState,
} from '../entries/access.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { getRight } from './rights.ts'

export const reactionOperations: StoredOperations<'messages.react' | 'messages.reactions'> = {
  async 'messages.react'(tx, { caller, log, seq, emoji, on }) {
    assertEmoji(emoji)
    const readable = await lockReadable(tx, caller, log)
    const message = await getWholeMessage(tx, readable, seq)
    const right = await getRight(tx, caller, readable, 'react')
    const counts = new Map(Object.entries(message.state.reactions ?? {}))
    const mine = await reactionsOf(tx, readable.log.n, seq, readable.account, [...counts.keys()])
    const wasOn = mine.has(emoji)
    const isOn = on ?? !wasOn
    const count = (counts.get(emoji) ?? 0) + Number(isOn) - Number(wasOn)
    if (isOn === wasOn || right === 'withheld') return { on: isOn, count }
    if (isOn) assertRoom(emoji, counts, mine)
    if (count === 0) counts.delete(emoji)
    else counts.set(emoji, count)
    await saveReaction(tx, { log: readable.log.n, seq, account: readable.account, emoji, isOn })
    await saveState(tx, readable, seq, withReactions(message, counts))
    if (!message.isWithheld) {
      const { uid, device } = caller
      const body = { seq, emoji, on: isOn }
      await tx.append(readable.log.name, {
        kind: 'reaction',
        uid,
        device,
        type: isOn ? 'added' : 'removed',
        body,
      })
    }
    return { on: isOn, count }
  },

  async 'messages.reactions'(tx, { caller, log, seq, emoji, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const readable = await getReadable(tx, caller, log)
    const { state } = await getMessage(tx, readable, seq)
    // Those that are left of a recalled message go in the background. Who has left the group is not told of later ones.
    if (state.recalled !== undefined || !readable.isOpen) return { items: [] }
    const after = cursor === undefined ? { emoji: '', account: 0 } : await parseCursor(tx, cursor)
    const rows = await tx.query<{ uid: UserId; emoji: string; at: number }>(
      `select account.uid, reaction.emoji, reaction.reacted_at as at
       from reaction join account on account.n = reaction.account
       where reaction.log = $1 and reaction.seq = $2 and (reaction.emoji, reaction.account) > ($3, $4)
         ${emoji === undefined ? '' : 'and reaction.emoji = $6'}
       order by reaction.emoji, reaction.account limit $5`,
      [readable.log.n, seq, after.emoji, after.account, limit + 1, ...(emoji === undefined ? [] : [emoji])],
    )
    const items = rows.slice(0, limit)
    const last = rows.length > limit ? items.at(-1) : undefined
    return { items, ...(last !== undefined && { cursor: `${last.uid} ${last.emoji}` }) }
  },
}

// ---------------------------------------------------------------- what a reaction is

const NAME = /^:[a-z0-9_+-]{1,30}:$/
/** A picture, a flag, or a key. */
const PICTURE = /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' })

function assertEmoji(emoji: string): void {
  if (Buffer.byteLength(emoji) > REACTION_BYTES_MAX) {
    throw new WochatError('bad_request', `emoji: at most ${REACTION_BYTES_MAX} bytes`)
  }
  if (NAME.test(emoji)) return
  if (!emoji.isWellFormed() || !PICTURE.test(emoji) || [...graphemes.segment(emoji)].length !== 1) {
    throw new WochatError('bad_request', 'emoji: one emoji, or a short name such as :party-parrot:')
  }
}

function assertRoom(emoji: string, counts: ReadonlyMap<string, number>, mine: ReadonlySet<string>): void {
  if (mine.size >= REACTIONS_PER_ACCOUNT_MAX) {
    throw new WochatError('too_many_reactions', `at most ${REACTIONS_PER_ACCOUNT_MAX} of one person`)
  }
  if (!counts.has(emoji) && counts.size >= REACTIONS_PER_MESSAGE_MAX)
    throw new WochatError('too_many_reactions')
}

// ---------------------------------------------------------------- rows

/** Which of these emojis the account has given. */
async function reactionsOf(
  tx: Transaction,
  log: number,
  seq: number,
  account: number,
  emojis: readonly string[],
): Promise<Set<string>> {
  const rows = await tx.query<{ emoji: string }>(
    `select emoji from reaction
     where log = $1 and seq = $2 and account = $3 and emoji in ${tx.list('$4', 'text')}`,
    [log, seq, account, emojis],
  )
  return new Set(rows.map(({ emoji }) => emoji))
}

type Reaction = { log: number; seq: number; account: number; emoji: string; isOn: boolean }

async function saveReaction(tx: Transaction, { log, seq, account, emoji, isOn }: Reaction): Promise<void> {
  if (isOn) {
    await tx.query(
      'insert into reaction (log, seq, emoji, account, reacted_at) values ($1, $2, $3, $4, $5)',
      [log, seq, emoji, account, tx.now],
    )
  } else {
    await tx.query('delete from reaction where log = $1 and seq = $2 and emoji = $3 and account = $4', [
      log,
      seq,
      emoji,
      account,
    ])
  }
}

function withReactions({ state }: Message, counts: ReadonlyMap<string, number>): Message['state'] {
  const { reactions: _, ...others } = state
  return counts.size === 0 ? others : { ...others, reactions: Object.fromEntries(counts) }
}

/** `uid emoji` of the last item: a uid holds no space. */
async function parseCursor(tx: Transaction, cursor: string): Promise<{ emoji: string; account: number }> {
  const space = cursor.indexOf(' ')
  const account = space > 0 ? await tx.findAccount(cursor.slice(0, space)) : undefined
  if (account === undefined) throw new WochatError('bad_request', 'cursor: not of a list of reactions')
  return { emoji: cursor.slice(space + 1), account }
}
