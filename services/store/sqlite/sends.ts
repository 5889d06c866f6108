/** The sends of a batch: idempotency, then permission, then the entry, each in the order of arrival. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import type { AuthorId } from './logs.ts'
import { type PackedSend, readSends } from './send-batch.ts'
import { errorIndex, type Work } from './work.ts'

/** How a send was decided; `code` is 0 for accepted, 1 for a repeated send, else the index of its error plus 2. */
export const ACCEPTED = 0
export const REPEATED = 1
export const REFUSED = 2

/** Numbers per send in the answer: seq, at, code, epoch. */
export const DECISION_FIELDS = 4

export class SendDecider {
  readonly #work: Work
  readonly #sends: PackedSend[]
  readonly #ids: AuthorId[] = []
  #filed: ReturnType<Work['logs']['findFiled']>
  /** When the ids were looked up: {@link Logs.filings}. */
  #lookedUpAt: number
  readonly decisions: Float64Array<ArrayBuffer>
  #next = 0
  #nextWithId = 0

  constructor(work: Work, text: string, lengths: Uint32Array) {
    this.#work = work
    this.#sends = readSends(text, lengths)
    this.decisions = new Float64Array(this.#sends.length * DECISION_FIELDS)
    for (const { uid, id } of this.#sends) {
      if (id !== null) this.#ids.push({ account: work.accounts.ensure(uid, work.now), id })
    }
    this.#filed = work.logs.findFiled(this.#ids)
    this.#lookedUpAt = work.logs.filings
  }

  get count(): number {
    return this.#sends.length
  }

  /** Decides the sends up to (not including) position `until`. */
  decideUntil(until: number): void {
    this.#lookUpAgainIfFiled()
    for (; this.#next < until; this.#next++) this.#decide(this.#sends[this.#next]!)
  }

  /** A call of this batch may have moved entries from memory, where ids are found at once, to the tables. */
  #lookUpAgainIfFiled(): void {
    if (this.#lookedUpAt === this.#work.logs.filings) return
    this.#filed = this.#work.logs.findFiled(this.#ids)
    this.#lookedUpAt = this.#work.logs.filings
  }

  #decide(send: PackedSend): void {
    const { logs, accounts, now } = this.#work
    const account = accounts.ensure(send.uid, now)
    if (send.id !== null) {
      // Two ids that differ only in a lone surrogate are one in the table: such an id would spoil the filing of others.
      if (!send.id.isWellFormed()) {
        this.#nextWithId++
        this.#refuse('bad_request')
        return
      }
      const stored = this.#filed.get(this.#nextWithId++) ?? logs.findUnfiled(account, send.id)
      if (stored !== undefined) {
        const same = stored.log === send.log && stored.type === send.type && stored.bodyJson === send.bodyJson
        if (same) this.#answer(REPEATED, stored.seq, stored.at, stored.epoch)
        else this.#refuse('id_conflict')
        return
      }
    }
    const state = logs.state(send.log)
    const { refusal } = logs.writer(state, send.uid, account)
    if (refusal !== null) {
      this.#refuse(refusal)
      return
    }
    const entry = logs.append(state, { kind: 'message', ...send }, now)
    this.#answer(ACCEPTED, entry.seq, entry.at, state.epoch)
  }

  #refuse(code: ErrorCode): void {
    this.#answer(REFUSED + errorIndex(code), 0, 0, 0)
  }

  #answer(code: number, seq: number, at: number, epoch: number): void {
    const place = this.#next * DECISION_FIELDS
    this.decisions[place] = seq
    this.decisions[place + 1] = at
    this.decisions[place + 2] = code
    this.decisions[place + 3] = epoch
  }
}
