/** What becomes of a message that has arrived: counted, or found to be wrong. */
import type { Connection } from './connection.ts'
import { findMarker, isOfRun, readPublisher, readSequence } from './marker.ts'
import { Tracker } from './tracker.ts'

/** Which stream a message belongs to, or -1 if this receiver must not get it from that publisher. */
type StreamOf = (receiver: number, publisher: number) => number

/** Looks at everything that arrives: whose it is, whether it was expected here, and whether it is new. */
export class Receiver {
  readonly tracker: Tracker
  private readonly run: Buffer
  private readonly streamOf: StreamOf
  /** Of the message accepted last. */
  publisher = 0
  sequence = 0
  markerAt = 0
  /** Payloads without a marker, such as notices of the server. */
  unmarked = 0
  /** Of another run: left over in a session. */
  foreign = 0
  /** Delivered to somebody they were not meant for. */
  stray = 0

  constructor(options: { run: string; streams: number; streamOf: StreamOf }) {
    this.run = Buffer.from(options.run, 'latin1')
    this.streamOf = options.streamOf
    this.tracker = new Tracker(options.streams)
  }

  /** True if the payload is a message that `receiver` should get and had not got; then the fields above describe it. */
  accept(connection: Connection, receiver: number, bytes: Buffer, start: number, end: number): boolean {
    const at = findMarker(bytes, start, end, connection.markerHint)
    if (at < 0) {
      this.unmarked += 1
      return false
    }
    connection.markerHint = at - start
    if (!isOfRun(bytes, at, this.run)) {
      this.foreign += 1
      return false
    }
    this.publisher = readPublisher(bytes, at)
    this.sequence = readSequence(bytes, at)
    this.markerAt = at
    const stream = this.streamOf(receiver, this.publisher)
    if (stream < 0) {
      this.stray += 1
      return false
    }
    return this.tracker.record(stream, this.sequence)
  }
}
