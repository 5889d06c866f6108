/** The sends of a batch: idempotency, then permission, then the entry, each in the order of arrival. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import { isSameBody } from '../body-hash.ts'
import { OF_VISITOR, TO_NOBODY, TRANSIENT } from '../contract.ts'
import { WITHHELD as WITHHELD_KIND } from '../withheld.ts'
import { refusalOfMarks } from './entry-marks.ts'
import type { AuthorId } from './filed-ids.ts'
import type { LogState, Writer } from './logs.ts'
import { type PackedSend, readSends } from './send-batch.ts'
import { errorIndex, type Work } from './work.ts'

/** How a send was decided: its code, or of a refused one {@link REFUSED} and the index of its error. */
export const ACCEPTED = 0
/** Accepted, and there is no new entry: it was stored before, or is transient. */
export const NOTHING_NEW = 1
/** Accepted as an entry that only its author sees. */
export const WITHHELD = 2
export const REFUSED = 3

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
    const { logs, accounts } = this.#work
    const account = accounts.ensure(send.uid, this.#work.now)
    if (send.id !== null) {
      // Two ids that differ only in a lone surrogate are one in the table: such an id would spoil the filing of others.
      if (!send.id.isWellFormed()) {
        this.#nextWithId++
        this.#refuse('bad_request')
        return
      }
      const stored = this.#filed.get(this.#nextWithId++) ?? logs.findUnfiled(account, send.id)
      if (stored !== undefined && send.marks?.transient !== true) {
        const sentHash = send.marks?.sentHash ?? null
        const sameBody = stored.changed === 1 || isSameBody(stored, { bodyJson: send.bodyJson, sentHash })
        const same = stored.log === send.log && stored.type === send.type && sameBody
        if (same) this.#answer(NOTHING_NEW, stored.seq, stored.at, stored.epoch)
        else this.#refuse('id_conflict')
        return
      }
    }
    const state = logs.state(send.log)
    const writer = logs.writer(state, send.uid, account)
    if (send.marks !== null) {
      this.#decideMarked(send, state, writer)
      return
    }
    if (writer.refusal !== null) {
      this.#refuse(writer.refusal)
      return
    }
    this.#append(send, state, writer.withheld)
  }

  /** A message with something that the store has to look at: few are. */
  #decideMarked(send: PackedSend, state: LogState, writer: Writer): void {
    const { db, logs, now } = this.#work
    const marks = send.marks!
    if (marks.refused === true) {
      this.#refuse('content_refused')
      return
    }
    const isTransient = marks.transient === true
    const refusal = isTransient && writer.refusal === 'transient_only' ? null : writer.refusal
    const withheld = writer.withheld || marks.withheld === true
    const refused = refusal ?? refusalOfMarks(db, logs, writer.account, send.log, marks)
    this.#lookUpAgainIfFiled()
    if (refused !== null) this.#refuse(refused)
    else if (isTransient) this.#answer(NOTHING_NEW, placeOf(withheld, writer), now, 0)
    else this.#append(send, state, withheld)
  }

  #append(send: PackedSend, state: LogState, withheld: boolean): void {
    const { logs, now } = this.#work
    const entry = withheld
      ? logs.append(state, { ...send, kind: WITHHELD_KIND }, now, send.marks)
      : logs.append(state, { kind: 'message', ...send }, now, send.marks)
    this.#answer(withheld ? WITHHELD : ACCEPTED, entry.seq, entry.at, state.epoch)
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

/** What a transient message has in place of a seq. */
function placeOf(withheld: boolean, { visits }: Writer): number {
  if (withheld) return TO_NOBODY
  return visits ? OF_VISITOR : TRANSIENT
}
