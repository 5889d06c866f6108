/**
 * The unacknowledged QoS 1 packets of one MQTT session, in the order in which they were sent.
 *
 * Packet ids count from 32,768 to 65,535 and begin again; the ids below belong to the engine's side of the same
 * connection. An id is in use until its PUBACK [MQTT-2.3.1-4], so the list may span at most `SPAN_MAX` ids.
 */
import type { LogPlace } from './log-place.ts'

const FIRST_ID = 0x8000
const ID_MASK = 0x7fff
/** Ids between the oldest unacknowledged packet and the newest, whatever was acknowledged in between. */
export const SPAN_MAX = 1024

const ACKED = 0
const ENTRY = 1
const REPLY = 2

export class Inflight {
  /** Counts of packets ever sent and ever retired from the front; a packet's id is its count. */
  #first = 0
  #next = 0
  #places: (LogPlace | null)[] = []
  #seqs: number[] = []
  #states: number[] = []
  entries = 0
  replies = 0
  /** When the oldest packet was sent or the one before it acknowledged, ms; for the ack timeout. */
  waitingSince = 0

  get unacked(): number {
    return this.entries + this.replies
  }

  get hasFreeId(): boolean {
    return this.#next - this.#first < SPAN_MAX
  }

  /** Takes an id for an entry. */
  pushEntry(place: LogPlace, seq: number, now: number): number {
    this.entries++
    place.outstanding++
    return this.#push(ENTRY, place, seq, now)
  }

  pushReply(now: number): number {
    this.replies++
    return this.#push(REPLY, null, 0, now)
  }

  /** Takes a PUBACK. False for an id that is not in use: such are ignored. */
  acknowledge(packetId: number, now: number): boolean {
    const offset = (packetId - FIRST_ID - this.#first) & ID_MASK
    if (packetId < FIRST_ID || offset >= this.#next - this.#first) return false
    const index = this.#index(this.#first + offset)
    const state = this.#states[index]
    if (state === ACKED) return false
    this.#states[index] = ACKED
    const place = this.#places[index]!
    this.#places[index] = null
    if (offset === 0) this.#retire(now)
    if (state === REPLY) {
      this.replies--
      return true
    }
    this.entries--
    place.outstanding--
    place.isAcked = true
    place.moveCursor(place.outstanding === 0 ? place.sent : this.#lowestUnacked(place) - 1)
    return true
  }

  /** The entries that wait for their PUBACK, in order: to be sent again on resume. */
  *unackedEntries(): Generator<{ packetId: number; place: LogPlace; seq: number }> {
    for (let count = this.#first; count < this.#next; count++) {
      const index = this.#index(count)
      if (this.#states[index] !== ENTRY) continue
      yield { packetId: FIRST_ID + (count & ID_MASK), place: this.#places[index]!, seq: this.#seqs[index]! }
    }
  }

  /** Replies end with their connection. */
  dropReplies(now: number): void {
    for (let count = this.#first; count < this.#next; count++) {
      const index = this.#index(count)
      if (this.#states[index] === REPLY) this.#states[index] = ACKED
    }
    this.replies = 0
    this.#retire(now)
  }

  #push(state: number, place: LogPlace | null, seq: number, now: number): number {
    if (this.#next - this.#first === this.#states.length) this.#grow()
    if (this.#first === this.#next) this.waitingSince = now
    const index = this.#index(this.#next)
    this.#states[index] = state
    this.#places[index] = place
    this.#seqs[index] = seq
    return FIRST_ID + (this.#next++ & ID_MASK)
  }

  #retire(now: number): void {
    while (this.#first < this.#next && this.#states[this.#index(this.#first)] === ACKED) this.#first++
    this.waitingSince = now
  }

  #lowestUnacked(place: LogPlace): number {
    for (let count = this.#first; count < this.#next; count++) {
      const index = this.#index(count)
      if (this.#states[index] === ENTRY && this.#places[index] === place) return this.#seqs[index]!
    }
    return place.sent + 1
  }

  #index(count: number): number {
    return count & (this.#states.length - 1)
  }

  /** The lists have a power of two of slots, so that a count finds its own by its low bits. */
  #grow(): void {
    const size = Math.max(8, this.#states.length * 2)
    const places: (LogPlace | null)[] = new Array(size).fill(null)
    const seqs: number[] = new Array(size).fill(0)
    const states: number[] = new Array(size).fill(ACKED)
    for (let count = this.#first; count < this.#next; count++) {
      const from = this.#index(count)
      const to = count & (size - 1)
      places[to] = this.#places[from]!
      seqs[to] = this.#seqs[from]!
      states[to] = this.#states[from]!
    }
    this.#places = places
    this.#seqs = seqs
    this.#states = states
  }
}
