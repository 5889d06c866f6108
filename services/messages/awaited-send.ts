/** A send whose outcome somebody awaits: how a message gets into the store from HTTP and from calls. */
import type { WochatError } from '../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { SendMarks } from '../../protocol/message-types.ts'
import type { Send } from '../../protocol/send.ts'
import type { Caller, SendJob, Store } from '../store/contract.ts'
import { RefusedSend } from './refused-send.ts'

export type SentMessage = { log: LogId; seq: number; at: number }

class AwaitedSend implements SendJob {
  readonly uid: UserId
  readonly device: DeviceId | null
  readonly id: string | null
  readonly log: LogId
  readonly peer: UserId | null
  readonly type: string
  readonly bodyJson: string
  readonly marks: SendMarks | null
  readonly #outcome = Promise.withResolvers<SentMessage>()

  constructor(caller: Caller, { id, target, type, bodyJson, marks }: Send) {
    this.uid = caller.uid
    this.device = caller.device
    this.id = id
    this.log = target.log
    this.peer = target.peer
    this.type = type
    this.bodyJson = bodyJson
    this.marks = marks
  }

  get outcome(): Promise<SentMessage> {
    return this.#outcome.promise
  }

  accepted(seq: number, at: number): void {
    this.#outcome.resolve({ log: this.log, seq, at })
  }

  refused(error: WochatError): void {
    this.#outcome.reject(error)
  }
}

/**
 * Resolves when the message is on disk; rejects with the store's refusal. One with a `refusal` is not stored: it resolves if
 * it was before, and rejects with that else.
 */
export function sendAndWait(
  store: Pick<Store, 'send'>,
  caller: Caller,
  send: Send,
  refusal: WochatError | null = null,
): Promise<SentMessage> {
  const job = new AwaitedSend(caller, send)
  store.send(refusal === null ? job : new RefusedSend(job, refusal))
  return job.outcome
}
