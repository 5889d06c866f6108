/** Sequences remembered as missing over all streams; past it a hole is only counted, and a late filler counts as a duplicate. */
const MISSING_MAX = 1_000_000

/**
 * Judges what one receiver gets from one publisher. A stream is such a pair; its publisher numbers 1, 2, 3 and so on.
 * Nothing but the expected next number costs more than a comparison, and the rare rest is exact: a number below the
 * highest is late (out of order) if it was missing and a duplicate if it was not.
 */
export class Tracker {
  private readonly highest: Uint32Array
  private readonly missing = new Map<number, Set<number>>()
  private missingCount = 0
  private readonly tails = new Map<number, { end: number; repeated: number }>()
  delivered = 0
  repeated = 0
  duplicates = 0
  outOfOrder = 0

  constructor(streams: number) {
    this.highest = new Uint32Array(streams)
  }

  /** True if the stream had not delivered this number before. */
  record(stream: number, sequence: number): boolean {
    const highest = this.highest[stream]!
    if (sequence === highest + 1) {
      this.highest[stream] = sequence
      this.delivered += 1
      return true
    }
    if (sequence > highest) {
      this.remember(stream, highest + 1, sequence)
      this.highest[stream] = sequence
      this.delivered += 1
      return true
    }
    return this.recordLate(stream, sequence)
  }

  /**
   * The receiver's connection was cut, and what it had acknowledged may be unknown to the server: what the stream has
   * delivered may come once more, in order and before anything new, and counts as `repeated`.
   */
  allowRepeats(stream: number): void {
    this.tails.set(stream, { end: this.highest[stream]!, repeated: 0 })
  }

  /** Numbers that were overtaken and have not come since. A stream cut short at its end shows only in `delivered`. */
  get holes(): number {
    return this.missingCount
  }

  private recordLate(stream: number, sequence: number): boolean {
    const missing = this.missing.get(stream)
    if (!missing?.delete(sequence)) {
      if (this.isRepeat(stream, sequence)) this.repeated += 1
      else this.duplicates += 1
      return false
    }
    this.missingCount -= 1
    this.outOfOrder += 1
    this.delivered += 1
    return true
  }

  private isRepeat(stream: number, sequence: number): boolean {
    const tail = this.tails.get(stream)
    if (tail === undefined || this.highest[stream] !== tail.end || sequence <= tail.repeated) return false
    tail.repeated = sequence
    return true
  }

  private remember(stream: number, from: number, to: number): void {
    const missing = this.missing.get(stream) ?? new Set<number>()
    this.missing.set(stream, missing)
    for (let sequence = from; sequence < to && this.missingCount < MISSING_MAX; sequence++) {
      missing.add(sequence)
      this.missingCount += 1
    }
  }
}
