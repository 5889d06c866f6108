/**
 * One device's inbox: its window, its cursors, and the entries on their way.
 *
 * Modes, changed only by {@link start}, {@link stop} and {@link #pump}:
 * - `off`: no connection, or the inbox is not subscribed. Nothing is sent.
 * - `starting`: registered for doorbells, the store is asked where the inbox stands. What rings is noted as behind.
 * - `draining`: some logs are behind. They are read from the store, in turn, as the window has room.
 * - `live`: nothing is behind. A doorbell with the next seq is written at once.
 *
 * Behind is per log: one long backlog does not hold up the others. A slow device costs a {@link Link} per active
 * log, never a queue of messages.
 */
import { encodeGap, type GapReason } from '../../protocol/entry.ts'
import { type DeviceId, type LogId, logKind, type UserId } from '../../protocol/ids.ts'
import { inboxTopic } from '../../protocol/topics.ts'
import type { BehindLog, CommittedEntry, DrainPage, InboxState } from '../../services/store/contract.ts'
import { publishFrameBytes } from '../gate/codec/encode.ts'
import { DrainPace } from './drain-pace.ts'
import type { InboxServices, InboxWire } from './inbox-wire.ts'
import { Inflight } from './inflight.ts'
import { Link, UNKNOWN } from './link.ts'
import { Placing } from './placing.ts'
import { redeliver } from './redelivery.ts'

const PUBLISH_QOS0 = 0x30
const PUBLISH_QOS1 = 0x32
/** Above this many bytes that the kernel has not taken, a device is sent nothing more until it drains. */
const PENDING_BYTES_MAX = 1024 * 1024
/** Bytes of one read of the store. */
const DRAIN_BYTES_MAX = 512 * 1024
/** Logs of one read of the store. */
const DRAIN_LOGS_MAX = 64
/** Links beyond this are forgotten once they are acknowledged and saved; the next entry makes a new one. */
const IDLE_LINKS_MAX = 256

export class InboxSession {
  readonly uid: UserId
  readonly device: DeviceId
  /** The store's number; null for a clean session, whose cursors live here only. */
  readonly number: number | null
  generation: number
  readonly inflight = new Inflight()
  readonly links = new Map<LogId, Link>()
  readonly #services: InboxServices
  readonly #topic: Buffer
  #wire: InboxWire | null = null
  #qos: 0 | 1 = 1
  #mode: 'off' | 'starting' | 'draining' | 'live' = 'off'
  /** Groups that the user left while the store was asked. */
  #leftWhileStarting: Set<LogId> | null = null
  /** Null where doorbells come in the order of commits. */
  readonly #placing: Placing | null
  #behind: Link[] = []
  /** Gaps without a PUBACK, by packet id: unlike an entry, a gap cannot be read from the store again. */
  #gapsInflight: Map<number, Buffer> | null = null
  /** What waited at the start is not all sent yet. */
  #isSyncing = false
  #reading = false
  readonly #pace = new DrainPace(() => this.pump())

  constructor(
    services: InboxServices,
    uid: UserId,
    device: DeviceId,
    number: number | null,
    generation: number,
  ) {
    this.#services = services
    this.uid = uid
    this.device = device
    this.number = number
    this.generation = generation
    this.#topic = Buffer.from(inboxTopic(uid))
    this.#placing = services.shared === null ? null : new Placing(this, services)
  }

  get mode(): 'off' | 'starting' | 'draining' | 'live' {
    return this.#mode
  }

  // -------------------------------------------------------------- start and stop

  /**
   * Begins to send over `wire`: first what is still unacknowledged, then what waits, then live. `onStarted` is called
   * when the start is in the store and before anything that waits is sent.
   */
  async start(wire: InboxWire, qos: 0 | 1, onStarted: () => void = () => {}): Promise<void> {
    this.#wire = wire
    this.#qos = qos
    if (this.#mode !== 'off') {
      onStarted()
      return
    }
    this.#mode = 'starting'
    this.#leftWhileStarting = new Set()
    // `stop` kept the links with something in flight; they know more than the store, whose cursors come in batches.
    const resumed = new Set(this.links.values())
    this.#services.hub.register(this)
    const { store, backlogEntriesMax } = this.#services
    const { uid, number: session, generation } = this
    const isCurrent = () => this.#wire === wire
    await redeliver({
      session: this,
      topic: this.#topic,
      wire,
      isCurrent,
      gaps: this.#gapsInflight,
      ...this.#services,
    })
    const state = await store.startInbox({ uid, session, generation, backlogMax: backlogEntriesMax })
    if (this.#wire !== wire || this.#mode !== 'starting') return
    this.#adopt(state, resumed)
    this.#mode = 'draining'
    this.#isSyncing = true
    onStarted()
    wire.syncStarted(state.pending)
    this.#placing?.start(wire, state.startedAt, (asked, found) => this.#placed(asked, found))
    this.pump()
  }

  /** The connection is gone or the inbox was unsubscribed. Unacknowledged entries stay, for the resume. */
  stop(now: number): void {
    if (this.#mode === 'off') return
    this.#mode = 'off'
    this.#wire = null
    this.#leftWhileStarting = null
    this.#pace.stop()
    this.#services.hub.unregister(this)
    this.inflight.dropReplies(now)
    this.#behind = []
    this.#placing?.stop()
    for (const [log, link] of this.links) {
      link.isBehind = false
      if (link.outstanding === 0) this.links.delete(log)
    }
  }

  #adopt(state: InboxState, resumed: ReadonlySet<Link>): void {
    for (const { log, epoch, cursor, head, gap } of state.behind) {
      const link = this.links.get(log) ?? this.#addLink(log, epoch, cursor)
      // Entries that were in flight are beyond the store's cursor, also when they were acknowledged since.
      const isResumed = link.outstanding > 0 || (resumed.has(link) && link.epoch === epoch)
      if (!isResumed) {
        link.cursor = link.sent === UNKNOWN ? cursor : Math.min(link.cursor, cursor)
        link.sent = cursor
      }
      link.epoch = epoch
      link.gap = gap !== null && gap.to > link.sent ? gap : null
      this.#markBehind(link, head)
    }
    for (const { log, epoch, head } of state.heads) {
      if (this.#leftWhileStarting!.has(log)) continue
      const link = this.links.get(log) ?? this.#addLink(log, epoch, head)
      if (link.sent === UNKNOWN) this.#placed([], [{ log, epoch, cursor: head, head, gap: null }])
      if (logKind(log) === 'group') this.#hear(link, head)
    }
    this.#leftWhileStarting = null
  }

  /** Takes the doorbells of a group. One that this node was not watching may have grown unheard; its head is read again. */
  #hear(link: Link, head: number): void {
    const { hub, shared } = this.#services
    hub.addToGroup(link)
    const watching = shared?.watch.ensure(link.log) ?? null
    if (watching === null) return
    const wire = this.#wire
    watching.then(
      () => this.grew(link.log, link.epoch, head + 1),
      (error: unknown) => wire?.failed(error),
    )
  }

  // -------------------------------------------------------------- doorbells

  /** The user became a member: entries from `fromSeq` are theirs. */
  joined(log: LogId, fromSeq: number): void {
    this.#leftWhileStarting?.delete(log)
    const link = this.links.get(log) ?? this.#addLink(log, '', fromSeq - 1)
    this.#hear(link, fromSeq)
    // The entry that let them in may have rung before this was heard.
    if (this.#placing !== null) this.#markBehind(link, fromSeq)
  }

  /** The user is no member any more; what came up to `toSeq` is still theirs. */
  left(log: LogId, toSeq: number): void {
    this.#leftWhileStarting?.add(log)
    const link = this.links.get(log)
    if (link === undefined) return
    if (link.sent !== UNKNOWN) this.#markBehind(link, toSeq)
    this.#services.hub.removeFromGroup(link)
  }

  /** A doorbell for a log of which there may be no link yet. */
  rung(entry: CommittedEntry): void {
    const link = this.links.get(entry.log)
    if (link !== undefined) this.rungLink(link, entry)
    // In the order of commits the first ring is the first entry that this device has not seen.
    else if (this.#placing === null) {
      this.rungLink(this.#addLink(entry.log, entry.epoch, entry.seq - 1), entry)
    } else this.grew(entry.log, entry.epoch, entry.seq)
  }

  /** A doorbell that only says how far a log has grown. */
  grew(log: LogId, epoch: string, head: number): void {
    if (this.#mode === 'off') return
    const link = this.links.get(log)
    if (link !== undefined && link.sent !== UNKNOWN) {
      this.#markBehind(link, head)
    } else if (link === undefined) {
      this.#addLink(log, epoch, UNKNOWN).head = head
      this.#placing!.add(log)
    } else if (head > link.head) link.head = head
  }

  /** The store says where logs stand that rang before it was known. What it does not list is not for this user. */
  #placed(asked: readonly LogId[], found: readonly BehindLog[]): void {
    for (const { log, epoch, cursor, head, gap } of found) {
      const link = this.links.get(log)
      if (link === undefined || link.sent !== UNKNOWN) continue
      link.epoch = epoch
      link.sent = link.cursor = cursor
      link.gap = gap
      this.#markBehind(link, Math.max(link.head, head))
    }
    for (const log of asked) if (this.links.get(log)?.sent === UNKNOWN) this.links.delete(log)
  }

  // -------------------------------------------------------------- live

  /** Writes the entry if it is the next one and there is room; else the log is behind. */
  rungLink(link: Link, entry: CommittedEntry): void {
    const { seq } = entry
    if (link.sent === UNKNOWN) {
      if (seq > link.head) link.head = seq
      return
    }
    // A link that was made by joining does not know the epoch yet; a cursor without it would count as of another life.
    if (link.epoch === '') link.epoch = entry.epoch
    if (seq <= link.sent) return
    const wire = this.#wire
    if (this.#mode === 'starting' || wire === null || link.isBehind || seq !== link.sent + 1) {
      this.#markBehind(link, seq)
    } else if (entry.uid === this.uid ? entry.device === this.device : entry.withheld) {
      link.pass(seq)
    } else if (this.#room(wire) > 0) {
      this.#write(wire, link, seq, entry.bytes, entry.start, entry.end)
    } else {
      this.#markBehind(link, seq)
    }
  }

  #addLink(log: LogId, epoch: string, sent: number): Link {
    if (this.links.size >= IDLE_LINKS_MAX) this.#forgetIdleLinks()
    const link = new Link(this, log, epoch, sent)
    this.links.set(log, link)
    return link
  }

  #forgetIdleLinks(): void {
    for (const [log, link] of this.links) {
      const isIdle =
        link.outstanding === 0 && !link.isBehind && link.sent !== UNKNOWN && logKind(log) !== 'group'
      if (isIdle && !this.#services.cursors.isWaiting(link)) this.links.delete(log)
    }
  }

  #markBehind(link: Link, head: number): void {
    if (head > link.head) link.head = head
    if (link.isBehind || link.head <= link.sent) return
    link.isBehind = true
    this.#behind.push(link)
    if (this.#mode === 'live') this.#mode = 'draining'
    if (!this.#reading) this.pump()
  }

  // -------------------------------------------------------------- draining

  /** There is room again: a PUBACK came, or the socket drained. */
  pump(): void {
    const wire = this.#wire
    if (wire === null || this.#reading || this.#mode === 'starting' || this.#mode === 'off') return
    if (this.#behind.length === 0) {
      if (this.#mode === 'draining') this.#caughtUp(wire)
      return
    }
    const room = this.#room(wire)
    if (room === 0) return
    if (!this.#pace.mayRead(room, this.inflight.entries)) return
    this.#reading = true
    this.#read(wire, room).catch((error: unknown) => wire.failed(error))
  }

  #caughtUp(wire: InboxWire): void {
    this.#mode = 'live'
    if (this.#isSyncing) wire.syncDone()
    this.#isSyncing = false
  }

  async #read(wire: InboxWire, room: number): Promise<void> {
    const links = this.#behind.splice(0, DRAIN_LOGS_MAX)
    for (const link of links) this.#reportGap(wire, link)
    const { store, metrics } = this.#services
    const { uid, device } = this
    metrics.drains++
    try {
      const { pages, bytes } = await store.drain({
        uid,
        device,
        requests: links.map((link) => ({ log: link.log, after: link.sent })),
        entriesMax: room,
        bytesMax: DRAIN_BYTES_MAX,
      })
      if (this.#wire !== wire) return
      let start = 0
      for (const page of pages) {
        this.#writePage(wire, this.links.get(page.log)!, page, bytes, start)
        start = page.ends.at(-1) ?? start
      }
      this.#requeue(links, pages.length)
    } finally {
      this.#reading = false
    }
    this.pump()
  }

  /** Those that were not read wait in front; those that have more go to the end, so that all have their turn. */
  #requeue(links: Link[], readCount: number): void {
    for (const link of links) link.isBehind = link.sent < link.head
    this.#behind.unshift(...links.slice(readCount).filter((link) => link.isBehind))
    this.#behind.push(...links.slice(0, readCount).filter((link) => link.isBehind))
  }

  #writePage(wire: InboxWire, link: Link, page: DrainPage, bytes: Buffer, from: number): void {
    link.epoch = page.epoch
    if (page.gap !== null && page.gap.to > link.sent) {
      link.gap = page.gap
      this.#reportGap(wire, link)
    }
    if (page.head > link.head) link.head = page.head
    let start = from
    for (let i = 0; i < page.seqs.length; i++) {
      const seq = page.seqs[i]!
      const end = page.ends[i]!
      if (seq > link.sent) {
        if (seq > link.sent + 1) link.pass(seq - 1)
        this.#write(wire, link, seq, bytes, start, end)
      }
      start = end
    }
    if (page.through > link.sent) link.pass(page.through)
    // Nothing beyond is for this device, whatever rang: a left group, or a log that was cut.
    if (page.seqs.length === 0 && page.through === page.after && link.head > page.head) link.head = page.head
  }

  #reportGap(wire: InboxWire, link: Link): void {
    const { gap } = link
    if (gap === null) return
    link.gap = null
    this.#writeGap(wire, link, link.sent + 1, gap.to, gap.reason)
  }

  #writeGap(wire: InboxWire, link: Link, from: number, to: number, reason: GapReason): void {
    this.#services.metrics.gaps++
    const payload = encodeGap({ kind: 'gap', log: link.log, epoch: link.epoch, from, to, reason })
    const packetId = this.#publish(wire, link, to, payload, 0, payload.length)
    this.#gapsInflight ??= new Map()
    if (packetId !== 0) this.#gapsInflight.set(packetId, payload)
  }

  // -------------------------------------------------------------- writing

  /** Entries that may be written now. */
  #room(wire: InboxWire): number {
    if (wire.outbox.pendingBytes > PENDING_BYTES_MAX || !this.inflight.hasFreeId) return 0
    return wire.entryRoom()
  }

  #write(wire: InboxWire, link: Link, seq: number, bytes: Buffer, start: number, end: number): void {
    if (publishFrameBytes(this.#topic.length, end - start, wire.version, this.#qos) > wire.packetBytesMax) {
      this.#writeGap(wire, link, seq, seq, 'too_large')
    } else {
      this.#publish(wire, link, seq, bytes, start, end)
    }
  }

  /** Writes one packet; answers its id, 0 at QoS 0. */
  #publish(wire: InboxWire, link: Link, seq: number, bytes: Buffer, start: number, end: number): number {
    this.#services.metrics.deliveries++
    this.#services.tracing.armed?.sent(this, link.log, seq)
    if (this.#qos === 0) {
      wire.outbox.publish(PUBLISH_QOS0, this.#topic, 0, wire.version, bytes, start, end)
      link.pass(seq)
      return 0
    }
    link.sent = seq
    if (link.head < seq) link.head = seq
    const packetId = this.inflight.pushEntry(link, seq, wire.now())
    wire.outbox.publish(PUBLISH_QOS1, this.#topic, packetId, wire.version, bytes, start, end)
    return packetId
  }

  /** A PUBACK of an id from 32,768 up. */
  acknowledged(packetId: number, now: number): void {
    this.#services.tracing.armed?.acknowledged(this, packetId)
    if (!this.inflight.acknowledge(packetId, now)) return
    this.#gapsInflight?.delete(packetId)
    this.#services.metrics.acks++
    if (this.#behind.length > 0) this.pump()
  }

  cursorMoved(link: Link): void {
    this.#services.cursors.add(link)
  }
}
