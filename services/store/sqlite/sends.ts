/** The sends of a batch: idempotency, then permission, then the entry, each in the order of arrival. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import { SendReader } from './send-batch.ts'
import { errorIndex, type Work } from './work.ts'

/** How a send was decided; `code` is 0 for accepted, 1 for a repeated send, else the index of its error plus 2. */
export const ACCEPTED = 0
export const REPEATED = 1
export const REFUSED = 2

/** Numbers per send in the answer: seq, at, code, epoch. */
export const DECISION_FIELDS = 4

type PackedSend = {
  uid: UserId
  device: DeviceId | null
  id: string | null
  log: LogId
  type: string
  bodyJson: string
}

export class SendDecider {
  readonly #work: Work
  readonly #reader: SendReader
  readonly #ids: (number | string)[]
  #stored: ReturnType<Work['logs']['probe']>
  #probedAt: number
  readonly decisions: Float64Array<ArrayBuffer>
  #next = 0
  #nextWithId = 0

  constructor(work: Work, text: string, lengths: Uint32Array) {
    this.#work = work
    this.#reader = new SendReader(text, lengths)
    this.decisions = new Float64Array(this.#reader.count * DECISION_FIELDS)
    this.#ids = this.#idsToProbe(new SendReader(text, lengths))
    this.#stored = work.logs.probe(this.#ids)
    this.#probedAt = work.logs.filings
  }

  get count(): number {
    return this.#reader.count
  }

  /** Decides the sends up to (not including) position `until`. */
  decideUntil(until: number): void {
    this.#probeAgainIfFiled()
    for (; this.#next < until; this.#next++) this.#decide(this.#reader.read())
  }

  /** A call of this batch may have moved entries from memory, where ids are found at once, to the tables. */
  #probeAgainIfFiled(): void {
    if (this.#probedAt === this.#work.logs.filings) return
    this.#stored = this.#work.logs.probe(this.#ids)
    this.#probedAt = this.#work.logs.filings
  }

  #idsToProbe(reader: SendReader): (number | string)[] {
    const keys: (number | string)[] = []
    for (let i = 0; i < reader.count; i++) {
      const { uid, id } = reader.read()
      if (id !== null) keys.push(this.#work.accounts.ensure(uid, this.#work.now), id)
    }
    return keys
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
      const stored = this.#stored.get(this.#nextWithId++) ?? logs.findUnfiled(account, send.id)
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
