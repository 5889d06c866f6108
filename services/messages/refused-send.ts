/** A message that screening refuses, and that may have been stored before, under its id. */
import type { WochatError } from '../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { SendMarks } from '../../protocol/message-types.ts'
import type { SendJob } from '../store/contract.ts'

/** Asks the store for the message, which it stores in no case, and tells it the refusal where there is none. */
export class RefusedSend implements SendJob {
  readonly uid: UserId
  readonly device: DeviceId | null
  readonly id: string | null
  readonly log: LogId
  readonly peer: UserId | null
  readonly type: string
  readonly bodyJson: string
  readonly marks: SendMarks
  readonly #send: SendJob
  readonly #refusal: WochatError

  constructor(send: SendJob, refusal: WochatError) {
    this.uid = send.uid
    this.device = send.device
    this.id = send.id
    this.log = send.log
    this.peer = send.peer
    this.type = send.type
    this.bodyJson = send.bodyJson
    const { sentHash } = send.marks ?? {}
    this.marks = { refused: true, ...(sentHash !== undefined && { sentHash }) }
    this.#send = send
    this.#refusal = refusal
  }

  accepted(seq: number, at: number): void {
    this.#send.accepted(seq, at)
  }

  /** A store that could not look says so: the send is to be repeated. */
  refused(error: WochatError): void {
    this.#send.refused(error.retryable ? error : this.#refusal)
  }
}
