/**
 * The port through which a message passes before it goes to the store: word lists, an operator's own service.
 *
 * It runs on the event loop, for every message of every connection, of calls, and of what is sent later; so a screening
 * that has nothing to ask answers at once, and one that asks somebody answers with a promise. The messages of one
 * connection go to the store in the order in which they came, whichever way they were answered.
 */
import { type ErrorCode, WochatError } from '../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { checkBody, type SendMarks } from '../../protocol/message-types.ts'
import { bodyHash } from '../store/body-hash.ts'

/** A message that is well formed, and of which nothing else is known: its sender may turn out to be blocked. */
export type ScreenedMessage = {
  readonly uid: UserId
  readonly device: DeviceId | null
  readonly id: string | null
  readonly log: LogId
  /** Of a direct log: the other person, or the sender for notes to oneself. */
  readonly peer: UserId | null
  readonly type: string
  /** The body as JSON text: a screening that looks inside parses it. */
  readonly bodyJson: string
}

export type Verdict =
  | { readonly verdict: 'accept' }
  /** Stored with this body in place of its own; it must be a body of the same type. */
  | { readonly verdict: 'replace'; readonly body: Readonly<Record<string, unknown>> }
  /** The sender is told that it was accepted, and nobody else ever sees it. */
  | { readonly verdict: 'withhold' }
  | Refusal

/** `message` is told to the sender in place of the code's own meaning. */
export type Refusal = {
  readonly verdict: 'refuse'
  readonly code: ErrorCode
  readonly message?: string
  readonly details?: unknown
}

export const ACCEPT: Verdict = { verdict: 'accept' }

export interface Screening {
  /** Never throws and never rejects: what to do when a service is away is its own rule. Each message once. */
  screen(message: ScreenedMessage): Verdict | Promise<Verdict>
  /**
   * The refusal of an author who was suspended meanwhile, else null: asked of what had to wait, whatever was decided
   * about it. What came without waiting was judged with its login. Never throws and never rejects.
   */
  judgeAuthor(uid: UserId): Promise<Refusal | null>
}

/** What is decided about a message that stands alone: one of a call, or an edit. Throws the refusal of its author. */
export async function screenAlone(screening: Screening, message: ScreenedMessage): Promise<Verdict> {
  const verdict = screening.screen(message)
  if (!(verdict instanceof Promise)) return verdict
  const decided = await verdict
  const refusal = await screening.judgeAuthor(message.uid)
  if (refusal !== null) throw refusalError(refusal)
  return decided
}

/** A message whose content may still change. */
export type OpenMessage = {
  readonly id: string | null
  readonly type: string
  bodyJson: string
  marks: SendMarks | null
}

/**
 * Does to a message what was decided. Throws its refusal, and answers that of one which may have been stored before under
 * its id, when it was judged otherwise: a sender that had no answer repeats it, and is to be told what became of it.
 */
export function applyVerdict(message: OpenMessage, decided: Verdict): WochatError | null {
  switch (decided.verdict) {
    case 'accept':
      return null
    case 'withhold':
      message.marks = { ...message.marks, withheld: true }
      return null
    case 'replace': {
      const { transient, withheld, sentHash = bodyHash(message.bodyJson) } = message.marks ?? {}
      const isKept = message.id !== null && transient !== true
      message.marks = {
        ...checkBody(message.type, decided.body),
        ...(transient === true && { transient }),
        // Of one that was screened before, when it was scheduled.
        ...(withheld === true && { withheld }),
        ...(isKept && { sentHash }),
      }
      message.bodyJson = JSON.stringify(decided.body)
      return null
    }
    case 'refuse':
      if (message.id === null || message.marks?.transient === true || !isOfContent(decided))
        throw refusalError(decided)
      return refusalError(decided)
  }
}

/** Who is suspended is told nothing, whatever was stored. */
const isOfContent = ({ code }: Refusal): boolean => code !== 'account_suspended'

export const refusalError = ({ code, message, details }: Refusal): WochatError =>
  new WochatError(code, message, details === undefined ? {} : { details })
