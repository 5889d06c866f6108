/** How a message that comes by a call, is forwarded, or was scheduled goes the way of all others. */
import type { TraceStep } from '../../protocol/admin/rows.ts'
import { WochatError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/ids.ts'
import type { Send } from '../../protocol/send.ts'
import { type Caller, OF_VISITOR, type Store, TO_NOBODY } from '../store/contract.ts'
import { sendAndWait } from './awaited-send.ts'
import type { MessageIntake } from './ports.ts'
import { applyVerdict, screenAlone } from './screening.ts'

/** `seq` is 0 of a transient message. */
type Sent = { log: LogId; seq: number; at: number; transient?: true }

export class MessageSender {
  readonly #store: Pick<Store, 'send'>
  readonly #intake: MessageIntake
  readonly #isOperators: boolean

  /** `isOperators`: it sends for an operator, whom the suspension of an account does not hold up. */
  constructor(
    store: Pick<Store, 'send'>,
    intake: MessageIntake,
    { isOperators = false }: { isOperators?: boolean } = {},
  ) {
    this.#store = store
    this.#intake = intake
    this.#isOperators = isOperators
  }

  /** Resolves when the message is on disk, or a transient one on its way; rejects with the refusal. */
  async send(caller: Caller, send: Send): Promise<Sent> {
    this.#note('accepted', caller, send, null)
    try {
      const sent = await this.#sendOn(caller, send)
      if (sent.seq > 0) this.#note('stored', caller, send, sent.seq)
      return sent
    } catch (error) {
      this.#note('refused', caller, send, null)
      throw error
    }
  }

  #note(step: TraceStep, { uid, device }: Caller, { id, target }: Send, seq: number | null): void {
    this.#intake.tracing.armed?.step(step, { log: target.log, seq, uid, device, id })
  }

  async #sendOn(caller: Caller, send: Send): Promise<Sent> {
    const refusal = await this.screen(caller, send)
    const { log, seq, at } = await sendAndWait(this.#store, caller, send, refusal)
    if (seq > 0) return { log, seq, at }
    if (seq === OF_VISITOR && !this.#isOperators) this.#assertSeated(caller, log)
    if (seq !== TO_NOBODY) {
      const { id, type, bodyJson } = send
      const { uid: from, device } = caller
      this.#intake.transient.sendTransient({ log, from, device, id, type, bodyJson, at })
    }
    return { log, seq: 0, at, transient: true }
  }

  #assertSeated({ uid, device }: Caller, room: LogId): void {
    if (!this.#intake.transient.isSeated(room, uid, device)) throw new WochatError('not_member')
  }

  /**
   * Changes the message as its screening says. Throws the refusal of one that is not stored, and answers that of one
   * which may have been stored before.
   */
  async screen({ uid, device }: Caller, send: Send): Promise<WochatError | null> {
    const { screening } = this.#intake
    if (screening === null) return null
    const { id, type, bodyJson } = send
    const message = { uid, device, id, ...send.target, type, bodyJson }
    const verdict = this.#isOperators ? screening.screen(message) : screenAlone(screening, message)
    return applyVerdict(send, await verdict)
  }
}
