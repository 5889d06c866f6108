/** What each publisher has under way: which messages, since when, and how many receivers each still has to reach. */
interface WindowOptions {
  publishers: number
  /** Messages a publisher may have under way. */
  size: number
  /** Receivers of each message; 0 if nobody is there to take it. */
  receivers: number
  /** A message leaves the window with its PUBACK alone. */
  ackCredit: boolean
}

export class Windows {
  private readonly sentCount: Uint32Array
  private readonly ackedCount: Uint32Array
  private readonly completedCount: Uint32Array
  private readonly ringSize: number
  private readonly sequenceAt: Uint32Array
  private readonly missingAt: Uint32Array
  private readonly sentUsAt: Float64Array
  private readonly size: number
  private readonly receivers: number
  private readonly ackCredit: boolean
  sent = 0
  acked = 0

  constructor(options: WindowOptions) {
    this.size = options.size
    this.receivers = options.receivers
    this.ackCredit = options.ackCredit || options.receivers === 0
    this.ringSize = 2 ** Math.ceil(Math.log2(options.size))
    this.sentCount = new Uint32Array(options.publishers)
    this.ackedCount = new Uint32Array(options.publishers)
    this.completedCount = new Uint32Array(options.publishers)
    this.sequenceAt = new Uint32Array(options.publishers * this.ringSize)
    this.missingAt = new Uint32Array(options.publishers * this.ringSize)
    this.sentUsAt = new Float64Array(options.publishers * this.ringSize)
  }

  hasRoom(publisher: number): boolean {
    const acked = this.ackedCount[publisher]!
    const completed = this.ackCredit ? acked : this.completedCount[publisher]!
    return this.sentCount[publisher]! - Math.min(acked, completed) < this.size
  }

  /** The sequence of the message that is sent now. */
  send(publisher: number, sentUs: number): number {
    const sequence = this.sentCount[publisher]! + 1
    this.sentCount[publisher] = sequence
    const slot = this.slotOf(publisher, sequence)
    this.sequenceAt[slot] = sequence
    this.missingAt[slot] = this.receivers
    this.sentUsAt[slot] = sentUs
    this.sent += 1
    return sequence
  }

  /** PUBACKs come in the order of the PUBLISHes [MQTT-4.6.0-2]; returns the sequence this one stands for. */
  acknowledge(publisher: number): number {
    this.acked += 1
    const sequence = this.ackedCount[publisher]! + 1
    this.ackedCount[publisher] = sequence
    return sequence
  }

  /** When the message was sent; only while it is under way, otherwise -1. */
  sentUsOf(publisher: number, sequence: number): number {
    const slot = this.slotOf(publisher, sequence)
    return this.sequenceAt[slot] === sequence ? this.sentUsAt[slot]! : -1
  }

  /** One receiver has the message. A message that was lost keeps its place, so a publisher that loses enough stands still. */
  deliver(publisher: number, sequence: number): void {
    const slot = this.slotOf(publisher, sequence)
    if (this.sequenceAt[slot] !== sequence) return
    const missing = this.missingAt[slot]! - 1
    this.missingAt[slot] = missing
    if (missing === 0) this.completedCount[publisher]! += 1
  }

  private slotOf(publisher: number, sequence: number): number {
    return publisher * this.ringSize + (sequence & (this.ringSize - 1))
  }
}
