/** A log as the contract words it: every entry, every window, every pointer; each number is counted one by one. */

export const PEOPLE = [0, 1, 2] as const

type Window = { from: number; to: number }
type ModelEntry = {
  from: number
  /** The author's device, of a message. */
  device: number
  isMessage: boolean
  /** Whom it names; nobody any more once it is recalled. */
  mentions: readonly number[]
  /** For its author alone. */
  isWithheld: boolean
}

export class ModelLog {
  readonly entries: ModelEntry[] = []
  /** The first entry that is kept. */
  first = 1
  readonly #windows: Window[][] = PEOPLE.map(() => [])
  readonly read = PEOPLE.map(() => 0)
  readonly cleared = PEOPLE.map(() => 0)
  readonly muted = PEOPLE.map(() => false)
  readonly #hiddenAt: (number | null)[] = PEOPLE.map(() => null)
  readonly #deleted = PEOPLE.map(() => new Set<number>())

  get head(): number {
    return this.entries.length
  }

  join(who: number): void {
    this.#windows[who]!.push({ from: this.head + 1, to: Number.POSITIVE_INFINITY })
    this.read[who] = this.head
  }

  leave(who: number): void {
    this.#windows[who]!.at(-1)!.to = this.head
  }

  isIn(who: number): boolean {
    return this.#windows[who]!.at(-1)?.to === Number.POSITIVE_INFINITY
  }

  append(from: number): void {
    this.entries.push({ from, device: -1, isMessage: false, mentions: [], isWithheld: false })
  }

  send(from: number, device: number, mentions: readonly number[], isWithheld = false): void {
    this.entries.push({ from, device, isMessage: true, mentions, isWithheld })
  }

  /** It names others from now on: nobody when it is recalled. */
  name(seq: number, mentions: readonly number[]): void {
    this.entries[seq - 1] = { ...this.entries[seq - 1]!, mentions }
  }

  /** What is gone counts as read, for whom something is left. */
  trim(upTo: number): void {
    this.first = Math.max(this.first, Math.min(upTo, this.head) + 1)
    for (const who of PEOPLE) {
      const goesOn = (this.#windows[who]!.at(-1)?.to ?? 0) >= this.first
      if (goesOn) this.read[who] = Math.max(this.read[who]!, this.first - 1)
    }
  }

  markRead(who: number, seq: number): void {
    this.read[who] = Math.max(this.read[who]!, Math.min(seq, this.headOf(who)))
  }

  clear(who: number, seq: number): void {
    const upTo = Math.min(seq, this.headOf(who))
    this.markRead(who, upTo)
    this.cleared[who] = Math.max(this.cleared[who]!, upTo)
  }

  delete(who: number, seq: number): void {
    if (this.shown(who).includes(seq)) this.#deleted[who]!.add(seq)
  }

  hide(who: number, hidden: boolean): void {
    this.#hiddenAt[who] = hidden ? this.headOf(who) : null
  }

  /** Inside the windows of a person. */
  visible(who: number): number[] {
    const seqs = this.entries.map((_, i) => i + 1)
    return seqs.filter((seq) => this.#windows[who]!.some(({ from, to }) => from <= seq && seq <= to))
  }

  headOf(who: number): number {
    return this.visible(who).at(-1) ?? 0
  }

  /** What is kept, of others as far as they may be heard. */
  #kept(who: number): number[] {
    return this.visible(who).filter((seq) => {
      const { from, isWithheld } = this.entries[seq - 1]!
      return seq >= this.first && (!isWithheld || from === who)
    })
  }

  /** What pages show: neither cleared nor deleted by the person. */
  shown(who: number): number[] {
    return this.#kept(who).filter((seq) => seq > this.cleared[who]! && !this.#deleted[who]!.has(seq))
  }

  isListed(who: number): boolean {
    if (this.headOf(who) < this.first || this.#isUnheard(who)) return false
    const hiddenAt = this.#hiddenAt[who] ?? null
    return (
      hiddenAt === null || this.#kept(who).some((seq) => seq > hiddenAt && this.entries[seq - 1]!.isMessage)
    )
  }

  /** A conversation of which somebody has heard nothing. */
  #isUnheard(who: number): boolean {
    const isHeard = this.entries.some(({ isWithheld }) => !isWithheld)
    return !isHeard && this.#kept(who).length === 0
  }

  #unreadSeqs(who: number): number[] {
    return this.shown(who).filter((seq) => {
      const { from, isMessage } = this.entries[seq - 1]!
      return seq > this.read[who]! && isMessage && from !== who
    })
  }

  unread(who: number): number {
    return this.#unreadSeqs(who).length
  }

  mentions(who: number): number {
    return this.#unreadSeqs(who).filter((seq) => this.entries[seq - 1]!.mentions.includes(who)).length
  }

  due(who: number): number {
    if (!this.isListed(who)) return 0
    return this.muted[who] ? this.mentions(who) : this.unread(who)
  }
}
