/** A situation: somebody calls an operation in a state in which it is refused, or in which it passes over what it names. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import type { Device } from '../../harness/device.ts'
import type { Town } from './town.ts'

/** Of an id that a call names: it is there, but of somebody else or of another place; or there is none like it. */
export type Whose = 'foreign' | 'absent'

/** `as` is a uid, or null without a token. It goes over HTTP unless a connection is named. */
export type Call<Params = object> = { as: string | null; params: Params; over?: Device }

export type Situation<Params = object> = {
  /** In words, beside the outcome. */
  promise: string
  /** The code of the refusal, or exactly what is answered by an operation that passes over what it cannot find. */
  outcome: ErrorCode | { answer: (town: Town) => unknown }
  /** The field whose id is looked at. */
  id?: { field: string; whose: Whose }
  /** Makes the state by calls of its own, beside what the town has, and says what to call in it. */
  prepare: (town: Town) => Call<Params> | Promise<Call<Params>>
  /** What the refusal does change, and why that is right. */
  changes?: string
}

type Prepare<Params> = Situation<Params>['prepare']

/** A refusal by the state of things. */
export const refuses = <Params>(
  outcome: ErrorCode,
  promise: string,
  prepare: Prepare<Params>,
): Situation<Params> => ({ promise, outcome, prepare })

/** What others are to read is refused for a word in it. */
export const refusesTheWord = <Params>(prepare: Prepare<Params>): Situation<Params> =>
  refuses('content_refused', 'a word that is banned', prepare)

export const foreign = <Params>(
  field: string,
  outcome: Situation['outcome'],
  promise: string,
  prepare: Prepare<Params>,
): Situation<Params> => ({ promise, outcome, id: { field, whose: 'foreign' }, prepare })

export const absent = <Params>(
  field: string,
  outcome: Situation['outcome'],
  prepare: Prepare<Params>,
): Situation<Params> => ({
  promise: `${field}: there is none like it`,
  outcome,
  id: { field, whose: 'absent' },
  prepare,
})

/** A word that is refused in whatever others read. */
export const BANNED_WORD = 'unspeakableword'

/** Nothing is there, nothing is done, and the caller is told no more than that. */
export const passesOver = (answer: object | ((town: Town) => unknown) = {}) => ({
  answer: typeof answer === 'function' ? (answer as (town: Town) => unknown) : () => answer,
})

/** Ids of the right form that nobody has. */
export const NOBODY = 'nobody-of-this-name'
export const NO_GROUP = 'g:no-group-of-this-name'
export const NO_LINK = 'noLinkHasThisTokenNoNo'
export const NO_FILE = 'f'.repeat(32)
export const NO_SEQ = 987_654_321
