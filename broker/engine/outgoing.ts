/**
 * What goes to one client, within its window.
 *
 * Two sources. Messages of QoS 1 and 2 for a stored session come from its queue in the store, in the order of their
 * numbers; all else (QoS 0, sessions that end with the connection) comes as it is routed, and waits in memory.
 *
 * The queue is `live` when nothing waits in the store: then a message gets its packet id before it is stored, and
 * goes out when it is. It is `behind` when a message found no room: from then on messages are only stored, and are
 * read in order as room comes, until a read finds no more and none came since it was asked for.
 */
import type { PlainDelivery, PlainStore } from '../../services/store/plain.ts'
import { type Qos, ReasonCode } from '../gate/codec/constants.ts'
import type { DeliveryProperties } from '../gate/codec/properties.ts'
import { decodeFields, type RoutedPacket, toPayload } from './packet.ts'
import { PacketIds } from './packet-ids.ts'
import type { Receiver } from './router.ts'
import { type Match, matchAmong, type StoredSubscription } from './session-index.ts'
import type { EngineSink } from './sink.ts'

/** Read from the queue at a time. */
const TAKE_ENTRIES_MAX = 200
const TAKE_BYTES_MAX = 1024 * 1024
/** Memory that a waiting message takes besides payload and topic. */
const MESSAGE_OVERHEAD_BYTES = 500

/** `message` is its number in the queue, 0 for one that only memory holds. */
type Inflight = { message: number; qos: Qos; state: 'sent' | 'releasing' | 'released' }

export type SettleMessage = (settled: {
  clientId: string
  generation: number | null
  message: number
}) => void

type Waiting = { packet: RoutedPacket; match: Match }

/** What a queued message's head holds that a delivery needs. */
type Head = { properties?: DeliveryProperties }

export class Outgoing implements Receiver {
  readonly #clientId: string
  readonly #store: PlainStore
  readonly #sink: EngineSink
  readonly #waitingBytesMax: number
  readonly #settle: SettleMessage
  readonly #ids = new PacketIds()
  readonly #inflight = new Map<number, Inflight>()
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  /** Subscriptions of this connection, by filter. */
  readonly subscriptions = new Map<string, StoredSubscription>()
  #queue: 'off' | 'behind' | 'live' = 'off'
  #generation: number | null = null
  /** Number of the last message of the queue that went out. */
  #after = 0
  /** Messages at the front of the queue that an earlier connection was sent. */
  #toResend = 0
  /** Ids given to messages that are not stored yet, and asked for with a read. */
  #reserved = 0
  #asked = 0
  #isReading = false
  /** Messages that found no room; a read sees those that were counted when it was asked for. */
  #refused = 0
  #isOpen = false
  #isClosed = false

  constructor(parts: {
    clientId: string
    store: PlainStore
    sink: EngineSink
    waitingBytesMax: number
    /** The client has a message of its queue. */
    settle: SettleMessage
  }) {
    this.#clientId = parts.clientId
    this.#store = parts.store
    this.#sink = parts.sink
    this.#waitingBytesMax = parts.waitingBytesMax
    this.#settle = parts.settle
  }

  /** Messages that are unacknowledged, or about to be. */
  get inflight(): number {
    return this.#inflight.size + this.#reserved + this.#asked
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get generation(): number | null {
    return this.#generation
  }

  /** Begins to send. For a stored session with its queue; `packetIds` are those that it has in use. */
  open(session: { packetIds: readonly number[]; generation: number | null } | null): void {
    this.#isOpen = true
    if (session !== null) {
      const { packetIds, generation } = session
      this.#generation = generation
      for (const packetId of packetIds) this.#ids.reserve(packetId)
      this.#toResend = packetIds.length
      this.#queue = 'behind'
    }
    this.pump()
  }

  close(): void {
    this.#isClosed = true
    this.#waiting.length = 0
    this.#waitingBytes = 0
  }

  /** There may be room again: after an acknowledgement, or when the socket has drained. */
  pump(): void {
    this.#flushWaiting()
    this.#readQueue()
  }

  // -------------------------------------------------------------- from memory

  routed(packet: RoutedPacket): void {
    const { topic, qos, retain, clientId } = packet
    const match = matchAmong(this.subscriptions.values(), topic, qos, retain, clientId ?? null)
    if (match !== null) this.offer(packet, match)
  }

  /** Sends a message that no queue holds, now or when there is room. */
  offer(packet: RoutedPacket, match: Match): void {
    if (this.#isClosed) return
    const mayPass = match.qos === 0 || this.#waiting.length === 0
    if (mayPass && this.#sendFromMemory(packet, match)) return
    this.#waiting.push({ packet, match })
    this.#waitingBytes += bytesOf(packet)
    if (this.#waitingBytes > this.#waitingBytesMax) this.#closeAs('slow')
  }

  /** Whether a sender that can wait should. */
  get isFull(): boolean {
    return this.#waitingBytes > this.#waitingBytesMax / 2
  }

  #flushWaiting(): void {
    // The sink may be answered within `deliver`, and so lead back here: each message is out of the list by then.
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#waitingBytes -= bytesOf(next.packet)
      if (this.#sendFromMemory(next.packet, next.match)) continue
      this.#waitingBytes += bytesOf(next.packet)
      this.#waiting.unshift(next)
      return
    }
  }

  #sendFromMemory(packet: RoutedPacket, match: Match): boolean {
    if (!this.#isOpen || this.#sink.isBlocked()) return false
    if (match.qos === 0) {
      this.#deliver(packet, match, 0, false)
      return true
    }
    const packetId = this.#sink.room() > 0 ? this.#ids.take() : undefined
    if (packetId === undefined) return false
    this.#inflight.set(packetId, { message: 0, qos: match.qos, state: 'sent' })
    this.#deliver(packet, match, packetId, false)
    return true
  }

  // -------------------------------------------------------------- from the queue

  reservePacketId(): number | null {
    const isLive = this.#queue === 'live' && !this.#isClosed
    const packetId = isLive && !this.#sink.isBlocked() && this.#sink.room() > 0 ? this.#ids.take() : undefined
    if (packetId !== undefined) {
      this.#reserved++
      return packetId
    }
    this.#refused++
    if (isLive) this.#queue = 'behind'
    return null
  }

  queued(message: number, packetId: number | null, packet: RoutedPacket, match: Match): void {
    if (this.#isClosed) return
    if (packetId !== null) {
      this.#reserved--
      this.#after = message
      this.#inflight.set(packetId, { message, qos: match.qos, state: 'sent' })
      this.#deliver(packet, match, packetId, false)
    }
    this.#readQueue()
  }

  notQueued(packetId: number | null): void {
    if (packetId === null) return
    this.#reserved--
    this.#ids.free(packetId)
    this.pump()
  }

  unsent(packetId: number | null): void {
    if (packetId === null) return
    this.#reserved--
    this.#ids.free(packetId)
    this.rung()
  }

  rung(): void {
    this.#refused++
    if (this.#queue === 'live') this.#queue = 'behind'
    this.#readQueue()
  }

  #readQueue(): void {
    // A message whose id is reserved goes out by itself, and must not be read as well.
    if (this.#queue !== 'behind' || this.#isReading || this.#reserved > 0) return
    if (this.#isClosed || this.#sink.isBlocked()) return
    const entriesMax = Math.min(
      this.#sink.room(),
      TAKE_ENTRIES_MAX,
      this.#toResend || Number.POSITIVE_INFINITY,
    )
    const packetIds = this.#toResend > 0 ? [] : this.#takeIds(entriesMax)
    const entries = this.#toResend > 0 ? entriesMax : packetIds.length
    if (entries <= 0) return
    this.#isReading = true
    this.#asked = entries
    const refused = this.#refused
    this.#store
      .takePlain({
        clientId: this.#clientId,
        generation: this.#generation,
        after: this.#after,
        packetIds,
        entriesMax: entries,
        bytesMax: TAKE_BYTES_MAX,
      })
      .then(
        ({ deliveries, full, isHeld }) => {
          if (this.#isClosed) return
          if (!isHeld) {
            this.#closeAs('takenOver')
            return
          }
          const isResend = this.#toResend > 0
          this.#toResend =
            deliveries.length < entries && !full ? 0 : Math.max(0, this.#toResend - deliveries.length)
          for (const packetId of packetIds) this.#freeUnused(packetId, deliveries)
          // Until all are out, an answer that comes within `deliver` must not read them again.
          for (const delivery of deliveries) {
            this.#asked--
            this.#sendFromQueue(delivery)
          }
          this.#asked = 0
          this.#isReading = false
          const isEmpty = deliveries.length < entries && !full && !isResend
          if (isEmpty && this.#refused === refused) this.#queue = 'live'
          else this.#readQueue()
        },
        () => this.#closeAs('store'),
      )
  }

  #takeIds(count: number): number[] {
    const packetIds: number[] = []
    while (packetIds.length < count) {
      const packetId = this.#ids.take()
      if (packetId === undefined) break
      packetIds.push(packetId)
    }
    return packetIds
  }

  #freeUnused(packetId: number, deliveries: readonly PlainDelivery[]): void {
    if (!deliveries.some((delivery) => delivery.packetId === packetId)) this.#ids.free(packetId)
  }

  #sendFromQueue(delivery: PlainDelivery): void {
    const { message, state, qos, retain, identifiers, topic, payload, head, expiresAt } = delivery
    const packetId = delivery.packetId!
    this.#after = message
    if (state === 'released') {
      this.#inflight.set(packetId, { message, qos, state: 'released' })
      this.#sink.pubrel(packetId, ReasonCode.success)
      return
    }
    this.#inflight.set(packetId, { message, qos, state: 'sent' })
    const { properties } = decodeFields<Head>(head)
    this.#sink.deliver({
      topic,
      payload: toPayload(payload) as Buffer,
      qos,
      retain,
      dup: state === 'sent',
      packetId,
      properties: deliveryProperties(properties, identifiers, expiresAt ?? undefined),
    })
  }

  #deliver(packet: RoutedPacket, { qos, retain, identifiers }: Match, packetId: number, dup: boolean): void {
    const { topic, payload, properties, messageExpiry } = packet
    if (messageExpiry !== undefined && messageExpiry <= Date.now()) {
      this.discard(packetId)
      return
    }
    this.#sink.deliver({
      topic,
      payload,
      qos,
      retain,
      dup,
      packetId,
      properties: deliveryProperties(properties, identifiers, messageExpiry),
    })
  }

  // -------------------------------------------------------------- acknowledgements

  /** Lets a message go that the client cannot get. */
  discard(packetId: number): void {
    const inflight = this.#inflight.get(packetId)
    if (inflight !== undefined) this.#finish(packetId, inflight)
  }

  /** The client has a message; an id that is not in use is ignored. */
  puback(packetId: number): void {
    const inflight = this.#inflight.get(packetId)
    if (inflight?.qos !== 1) return
    this.#finish(packetId, inflight)
  }

  pubrec(packetId: number, reason: number): void {
    const inflight = this.#inflight.get(packetId)
    if (inflight === undefined) {
      if (reason < 0x80) this.#sink.pubrel(packetId, ReasonCode.packetIdentifierNotFound)
      return
    }
    if (inflight.qos !== 2 || inflight.state === 'releasing') return
    if (reason >= 0x80) this.#finish(packetId, inflight)
    else if (inflight.state === 'released') this.#sink.pubrel(packetId, ReasonCode.success)
    else this.#release(packetId, inflight)
  }

  /** The PUBREL goes out when it is on disk that the client has the message: else a crash would send it again. */
  #release(packetId: number, inflight: Inflight): void {
    const released = () => {
      inflight.state = 'released'
      if (!this.#isClosed) this.#sink.pubrel(packetId, ReasonCode.success)
    }
    if (inflight.message === 0) {
      released()
      return
    }
    inflight.state = 'releasing'
    this.#store.releasePlain({ clientId: this.#clientId, generation: this.#generation, packetId }).then(
      (isHeld) => (isHeld ? released() : this.#closeAs('takenOver')),
      () => this.#closeAs('store'),
    )
  }

  pubcomp(packetId: number): void {
    const inflight = this.#inflight.get(packetId)
    if (inflight?.state === 'released') this.#finish(packetId, inflight)
  }

  #finish(packetId: number, { message }: Inflight): void {
    this.#inflight.delete(packetId)
    this.#ids.free(packetId)
    if (message > 0) {
      this.#settle({ clientId: this.#clientId, generation: this.#generation, message })
    }
    this.pump()
  }

  #closeAs(reason: 'slow' | 'store' | 'takenOver'): void {
    if (this.#isClosed) return
    this.close()
    this.#sink.closed(reason)
  }
}

function bytesOf({ topic, payload }: RoutedPacket): number {
  return MESSAGE_OVERHEAD_BYTES + topic.length * 2 + payload.length
}

/** Properties for the subscriber: those of the publisher, the identifiers, and what is left of the lifetime [MQTT-3.3.2-6]. */
function deliveryProperties(
  properties: DeliveryProperties | undefined,
  identifiers: readonly number[],
  expiresAt: number | undefined,
): DeliveryProperties | null {
  if (properties === undefined && identifiers.length === 0) return null
  return {
    ...properties,
    ...(identifiers.length > 0 && { subscriptionIdentifiers: identifiers }),
    ...(expiresAt !== undefined && {
      messageExpiryInterval: Math.max(1, Math.ceil((expiresAt - Date.now()) / 1000)),
    }),
  }
}
