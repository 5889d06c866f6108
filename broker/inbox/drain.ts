/**
 * What an inbox is behind with, read from the store: log after log, as the window has room. It works in the inbox's mode
 * `draining` only, so that a live inbox pays nothing for it.
 */
import { type LogId, logKind } from '../../protocol/ids.ts'
import type { DrainPage } from '../../services/store/contract.ts'
import { DrainPace } from './drain-pace.ts'
import type { InboxSession } from './inbox-session.ts'
import type { InboxServices, InboxWire } from './inbox-wire.ts'
import { letOutBy } from './let-out.ts'
import type { LogPlace } from './log-place.ts'

/** Bytes of one read of the store. */
const READ_BYTES_MAX = 512 * 1024
/** Logs of one read of the store. */
const READ_LOGS_MAX = 64

/** The inbox, as its drain needs it. */
type DrainedInbox = Pick<
  InboxSession,
  'uid' | 'device' | 'inflight' | 'letOut' | 'pump' | 'room' | 'write' | 'writeGap'
> & {
  readonly places: ReadonlyMap<LogId, LogPlace>
  isSentOver(wire: InboxWire): boolean
  caughtUp(wire: InboxWire): void
}

export class Drain {
  readonly #inbox: DrainedInbox
  readonly #services: Pick<InboxServices, 'store' | 'metrics' | 'shared'>
  readonly #pace: DrainPace
  #behind: LogPlace[] = []
  #isReading = false

  constructor(inbox: DrainedInbox, services: Pick<InboxServices, 'store' | 'metrics' | 'shared'>) {
    this.#inbox = inbox
    this.#services = services
    this.#pace = new DrainPace(() => inbox.pump())
  }

  /** The log is behind: it waits until all that wait before it were read. */
  add(place: LogPlace): void {
    place.isBehind = true
    this.#behind.push(place)
  }

  /** Reads on, if something is behind and there is room for it. */
  pump(wire: InboxWire): void {
    if (this.#isReading) return
    if (this.#behind.length === 0) {
      this.#inbox.caughtUp(wire)
      return
    }
    const room = this.#inbox.room(wire)
    if (room === 0) return
    if (!this.#pace.mayRead(room, this.#inbox.inflight.entries)) return
    this.#isReading = true
    this.#read(wire, room).catch((error: unknown) => wire.failed(error))
  }

  stop(): void {
    this.#pace.stop()
    this.#behind = []
  }

  async #read(wire: InboxWire, room: number): Promise<void> {
    const places = this.#behind.splice(0, READ_LOGS_MAX)
    for (const place of places) this.#reportGap(wire, place)
    const { store, metrics } = this.#services
    const { uid, device } = this.#inbox
    metrics.drains++
    try {
      const { pages, bytes } = await store.drain({
        uid,
        device,
        requests: places.map((place) => ({ log: place.log, after: place.sent })),
        entriesMax: room,
        bytesMax: READ_BYTES_MAX,
      })
      if (!this.#inbox.isSentOver(wire)) return
      let start = 0
      for (const page of pages) {
        this.#writePage(wire, this.#inbox.places.get(page.log)!, page, bytes, start)
        start = page.ends.at(-1) ?? start
      }
      this.#requeue(places, pages.length)
    } finally {
      this.#isReading = false
      // The connection that came meanwhile has waited for this read.
      if (!this.#inbox.isSentOver(wire)) this.#inbox.pump()
    }
    this.#inbox.pump()
  }

  /** Those that were not read wait in front; those that have more go to the end, so that all have their turn. */
  #requeue(places: LogPlace[], readCount: number): void {
    for (const place of places) place.isBehind = place.sent < place.head
    this.#behind.unshift(...places.slice(readCount).filter((place) => place.isBehind))
    this.#behind.push(...places.slice(0, readCount).filter((place) => place.isBehind))
  }

  #writePage(wire: InboxWire, place: LogPlace, page: DrainPage, bytes: Buffer, from: number): void {
    place.epoch = page.epoch
    if (page.gap !== null && page.gap.to > place.sent) {
      place.gap = page.gap
      this.#reportGap(wire, place)
    }
    if (page.head > place.head) place.head = page.head
    const { uid } = this.#inbox
    // A live entry behind this page must not find a place in the group that its doorbell has yet to end.
    const isUnordered = this.#services.shared !== null && logKind(place.log) === 'group'
    let start = from
    for (let i = 0; i < page.seqs.length; i++) {
      const seq = page.seqs[i]!
      const end = page.ends[i]!
      if (seq > place.sent) {
        if (seq > place.sent + 1) place.pass(seq - 1)
        this.#inbox.write(wire, place, seq, bytes, start, end)
        if (isUnordered && letOutBy(bytes, start, end).includes(uid)) this.#inbox.letOut(place.log, seq)
      }
      start = end
    }
    if (page.through > place.sent) place.pass(page.through)
    // Nothing beyond is for this device, whatever rang: a left group, or a log that was cut.
    if (page.seqs.length === 0 && page.through === page.after && place.head > page.head)
      place.head = page.head
  }

  #reportGap(wire: InboxWire, place: LogPlace): void {
    const { gap } = place
    if (gap === null) return
    place.gap = null
    this.#inbox.writeGap(wire, place, place.sent + 1, gap.to, gap.reason)
  }
}
