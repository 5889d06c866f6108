/**
 * One device's inbox: its window, its cursors, and the entries on their way.
 *
 * Modes, changed only by {@link #enter}:
 * - `off`: no connection, or the inbox is not subscribed. Nothing is sent.
 * - `starting`: registered for doorbells, the store is asked where the inbox stands. What rings is noted as behind.
 * - `draining`: some logs are behind. They are read from the store, in turn, as the window has room.
 * - `live`: nothing is behind. A doorbell with the next seq is written at once.
 *
 * Behind is per log: one long backlog does not hold up the others. A slow device costs a {@link LogPlace} per active
 * log, never a queue of messages.
 */
import { encodeGap, type GapReason } from '../../protocol/entry.ts'
import { type DeviceId, type LogId, logKind, type UserId } from '../../protocol/ids.ts'
import { inboxTopic } from '../../protocol/topics.ts'
import type { BehindLog, CommittedEntry, InboxState } from '../../services/store/contract.ts'
import { publishFrameBytes } from '../gate/codec/encode.ts'
import { Drain } from './drain.ts'
import type { InboxServices, InboxWire } from './inbox-wire.ts'
import { Inflight } from './inflight.ts'
import { LogPlace, UNKNOWN } from './log-place.ts'
import { Placing } from './placing.ts'
import { redeliver } from './redelivery.ts'

const PUBLISH_QOS0 = 0x30
const PUBLISH_QOS1 = 0x32
/** Above this many bytes that the kernel has not taken, a device is sent nothing more until it drains. */
const PENDING_BYTES_MAX = 1024 * 1024
/** Places beyond this are forgotten once they are acknowledged and saved; the next entry makes a new one. */
const IDLE_PLACES_MAX = 256

type Mode = 'off' | 'starting' | 'draining' | 'live'

export class InboxSession {
  readonly uid: UserId
  readonly device: DeviceId
  /** The store's number; null for a clean session, whose cursors live here only. */
  readonly number: number | null
  generation: number
  readonly inflight = new Inflight()
  readonly places = new Map<LogId, LogPlace>()
  readonly #services: InboxServices
  readonly #topic: Buffer
  #wire: InboxWire | null = null
  #qos: 0 | 1 = 1
  #mode: Mode = 'off'
  /** Groups that the user left while the store was asked. */
  #leftWhileStarting: Set<LogId> | null = null
  /** Null where doorbells come in the order of commits. */
  readonly #placing: Placing | null
  /** Gaps without a PUBACK, by packet id: unlike an entry, a gap cannot be read from the store again. */
  #gapsInflight: Map<number, Buffer> | null = null
  /** What waited at the start is not all sent yet. */
  #isSyncing = false
  readonly #drain: Drain

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
    this.#drain = new Drain(this, services)
  }

  get mode(): Mode {
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
    this.#enter('starting')
    // `stop` kept the places with something in flight; they know more than the store, whose cursors come in batches.
    const resumed = new Set(this.places.values())
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
    if (this.#wire !== wire || this.mode !== 'starting') return
    this.#adopt(state, resumed)
    this.#enter('draining')
    onStarted()
    wire.syncStarted(state.pending)
    this.#placing?.start(wire, state.startedAt, (asked, found) => this.#placed(asked, found))
    this.pump()
  }

  /** The connection is gone or the inbox was unsubscribed. Unacknowledged entries stay, for the resume. */
  stop(now: number): void {
    if (this.#mode === 'off') return
    this.#enter('off')
    this.#wire = null
    this.#drain.stop()
    this.#services.hub.unregister(this)
    this.inflight.dropReplies(now)
    this.#placing?.stop()
    for (const [log, place] of this.places) {
      place.isBehind = false
      if (place.outstanding === 0) this.places.delete(log)
    }
  }

  #enter(mode: Mode): void {
    this.#mode = mode
    this.#leftWhileStarting = mode === 'starting' ? new Set() : null
    if (mode === 'starting') this.#isSyncing = true
  }

  #adopt(state: InboxState, resumed: ReadonlySet<LogPlace>): void {
    for (const { log, epoch, cursor, head, gap } of state.behind) {
      const place = this.places.get(log) ?? this.#addPlace(log, epoch, cursor)
      // Entries that were in flight are beyond the store's cursor, also when they were acknowledged since.
      const isResumed = place.outstanding > 0 || (resumed.has(place) && place.epoch === epoch)
      if (!isResumed) {
        place.cursor = place.sent === UNKNOWN ? cursor : Math.min(place.cursor, cursor)
        place.sent = cursor
      }
      place.epoch = epoch
      place.gap = gap !== null && gap.to > place.sent ? gap : null
      this.#markBehind(place, head)
    }
    for (const { log, epoch, head } of state.heads) {
      if (this.#leftWhileStarting!.has(log)) continue
      const place = this.places.get(log) ?? this.#addPlace(log, epoch, head)
      if (place.sent === UNKNOWN) this.#placed([], [{ log, epoch, cursor: head, head, gap: null }])
      if (logKind(log) !== 'group') continue
      place.inFrom = head + 1
      this.#hear(place, head)
    }
  }

  /** Takes the doorbells of a group. One that this node was not watching may have grown unheard; its head is read again. */
  #hear(place: LogPlace, head: number): void {
    const { hub, shared } = this.#services
    hub.addToGroup(place)
    const watching = shared?.watch.ensure(place.log) ?? null
    if (watching === null) return
    const wire = this.#wire
    watching.then(
      () => this.grew(place.log, place.epoch, head + 1),
      (error: unknown) => wire?.failed(error),
    )
  }

  // -------------------------------------------------------------- doorbells

  /** The user became a member: entries from `fromSeq` are theirs. */
  joined(log: LogId, fromSeq: number): void {
    this.#leftWhileStarting?.delete(log)
    const place = this.places.get(log) ?? this.#addPlace(log, '', fromSeq - 1)
    if (fromSeq <= place.outAfter) return
    place.inFrom = fromSeq
    this.#hear(place, fromSeq)
    // The entry that let them in may have rung before this was heard.
    if (this.#placing !== null) this.#markBehind(place, fromSeq)
  }

  /** An entry lets the user out of its group. */
  letOut(log: LogId, seq: number): void {
    const place = this.places.get(log)
    if (place !== undefined && seq >= place.inFrom) this.left(log, seq)
  }

  /** The user is no member any more; what came up to `toSeq` is still theirs. */
  left(log: LogId, toSeq: number): void {
    const place = this.places.get(log)
    // A doorbell that came behind a later `joined`. Rooms may be left without an entry: `toSeq` is then before the own window.
    if (place !== undefined && toSeq < place.inFrom - 1) return
    this.#leftWhileStarting?.add(log)
    if (place === undefined) return
    place.outAfter = Math.max(place.outAfter, toSeq)
    if (place.sent !== UNKNOWN) this.#markBehind(place, toSeq)
    this.#services.hub.removeFromGroup(place)
  }

  /** A doorbell for a log of which there may be no place yet. */
  rung(entry: CommittedEntry): void {
    const place = this.places.get(entry.log)
    if (place !== undefined) this.rungAt(place, entry)
    // In the order of commits the first ring is the first entry that this device has not seen.
    else if (this.#placing === null) {
      this.rungAt(this.#addPlace(entry.log, entry.epoch, entry.seq - 1), entry)
    } else this.grew(entry.log, entry.epoch, entry.seq)
  }

  /** A doorbell that only says how far a log has grown. */
  grew(log: LogId, epoch: string, head: number): void {
    if (this.#mode === 'off') return
    const place = this.places.get(log)
    if (place !== undefined && place.sent !== UNKNOWN) {
      this.#markBehind(place, head)
    } else if (place === undefined && this.#placing === null) {
      this.#markBehind(this.#addPlace(log, epoch, head - 1), head)
    } else if (place === undefined) {
      this.#addPlace(log, epoch, UNKNOWN).head = head
      this.#placing!.add(log)
    } else if (head > place.head) place.head = head
  }

  /** The store says where logs stand that rang before it was known. What it does not list is not for this user. */
  #placed(asked: readonly LogId[], found: readonly BehindLog[]): void {
    for (const { log, epoch, cursor, head, gap } of found) {
      const place = this.places.get(log)
      if (place === undefined || place.sent !== UNKNOWN) continue
      place.epoch = epoch
      place.sent = place.cursor = cursor
      place.gap = gap
      this.#markBehind(place, Math.max(place.head, head))
    }
    for (const log of asked) if (this.places.get(log)?.sent === UNKNOWN) this.places.delete(log)
  }

  // -------------------------------------------------------------- live

  /** Writes the entry if it is the next one and there is room; else the log is behind. */
  rungAt(place: LogPlace, entry: CommittedEntry): void {
    const { seq } = entry
    if (place.sent === UNKNOWN) {
      if (seq > place.head) place.head = seq
      return
    }
    // A place that was made by joining does not know the epoch yet; a cursor without it would count as of another life.
    if (place.epoch === '') place.epoch = entry.epoch
    if (seq <= place.sent) return
    const wire = this.#wire
    if (this.#mode === 'starting' || wire === null || place.isBehind || seq !== place.sent + 1) {
      this.#markBehind(place, seq)
    } else if (entry.uid === this.uid ? entry.device === this.device : entry.withheld) {
      place.pass(seq)
    } else if (this.room(wire) > 0) {
      this.write(wire, place, seq, entry.bytes, entry.start, entry.end)
    } else {
      this.#markBehind(place, seq)
    }
  }

  #addPlace(log: LogId, epoch: string, sent: number): LogPlace {
    if (this.places.size >= IDLE_PLACES_MAX) this.#forgetIdlePlaces()
    const place = new LogPlace(this, log, epoch, sent)
    this.places.set(log, place)
    return place
  }

  #forgetIdlePlaces(): void {
    for (const [log, place] of this.places) {
      const isIdle =
        place.outstanding === 0 && !place.isBehind && place.sent !== UNKNOWN && logKind(log) !== 'group'
      if (isIdle && !this.#services.cursors.isWaiting(place)) this.places.delete(log)
    }
  }

  #markBehind(place: LogPlace, head: number): void {
    if (head > place.head) place.head = head
    if (place.isBehind || place.head <= place.sent) return
    this.#drain.add(place)
    if (this.#mode === 'live') this.#enter('draining')
    this.pump()
  }

  // -------------------------------------------------------------- draining

  /** There is room again: a PUBACK came, or the socket drained. */
  pump(): void {
    if (this.#mode === 'draining') this.#drain.pump(this.#wire!)
  }

  /** Nothing is behind any more. */
  caughtUp(wire: InboxWire): void {
    this.#enter('live')
    if (this.#isSyncing) wire.syncDone()
    this.#isSyncing = false
  }

  /** Whether this is its connection still. */
  isSentOver(wire: InboxWire): boolean {
    return this.#wire === wire
  }

  // -------------------------------------------------------------- writing

  /** Entries that may be written now. */
  room(wire: InboxWire): number {
    if (wire.outbox.pendingBytes > PENDING_BYTES_MAX || !this.inflight.hasFreeId) return 0
    return wire.entryRoom()
  }

  write(wire: InboxWire, place: LogPlace, seq: number, bytes: Buffer, start: number, end: number): void {
    if (publishFrameBytes(this.#topic.length, end - start, wire.version, this.#qos) > wire.packetBytesMax) {
      this.writeGap(wire, place, seq, seq, 'too_large')
    } else {
      this.#publish(wire, place, seq, bytes, start, end)
    }
  }

  writeGap(wire: InboxWire, place: LogPlace, from: number, to: number, reason: GapReason): void {
    this.#services.metrics.gaps++
    const payload = encodeGap({ kind: 'gap', log: place.log, epoch: place.epoch, from, to, reason })
    const packetId = this.#publish(wire, place, to, payload, 0, payload.length)
    this.#gapsInflight ??= new Map()
    if (packetId !== 0) this.#gapsInflight.set(packetId, payload)
  }

  /** Writes one packet; answers its id, 0 at QoS 0. */
  #publish(wire: InboxWire, place: LogPlace, seq: number, bytes: Buffer, start: number, end: number): number {
    this.#services.metrics.deliveries++
    this.#services.tracing.armed?.sent(this, place.log, seq)
    if (this.#qos === 0) {
      wire.outbox.publish(PUBLISH_QOS0, this.#topic, 0, wire.version, bytes, start, end)
      place.pass(seq)
      return 0
    }
    place.sent = seq
    if (place.head < seq) place.head = seq
    const packetId = this.inflight.pushEntry(place, seq, wire.now())
    wire.outbox.publish(PUBLISH_QOS1, this.#topic, packetId, wire.version, bytes, start, end)
    return packetId
  }

  /** A PUBACK of an id from 32,768 up. */
  acknowledged(packetId: number, now: number): void {
    this.#services.tracing.armed?.acknowledged(this, packetId)
    if (!this.inflight.acknowledge(packetId, now)) return
    this.#gapsInflight?.delete(packetId)
    this.#services.metrics.acks++
    this.pump()
  }

  cursorMoved(place: LogPlace): void {
    this.#services.cursors.add(place)
  }
}
