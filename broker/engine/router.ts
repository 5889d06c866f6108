/**
 * Aedes, kept to what it does well: sessions' subscriptions, matching, and one copy per client of what matches.
 *
 * Its own way of publishing is not used. It acknowledges before it stores; it stores the receipt of a QoS 2 PUBLISH
 * before the message, so that a crash between the two loses it; and it routes a QoS 0 message past a QoS 1 one that
 * waits for the store, which it then drops as a duplicate. docs/adr/0002-engine.md has the runs.
 */
import { Aedes, type Client } from 'aedes'
import { asWochatError, WochatError } from '../../protocol/errors.ts'
import type { PlainTarget } from '../../services/store/plain.ts'
import type { Publication, RoutedPacket } from './packet.ts'
import type { RoutingPersistence } from './persistence.ts'
import { PublishOrder } from './publish-order.ts'
import type { Match } from './session-index.ts'
import { mayUseFilter, mayUseTopic } from './topic-wall.ts'

/** Levels of a topic or filter: Aedes takes no more. */
export const TOPIC_LEVELS_MAX = 100
/** Memory for messages that wait for the store; more are refused as busy. */
const PUBLISHING_BYTES_MAX = 64 * 1024 * 1024
/** What a message takes besides its payload. */
const MESSAGE_OVERHEAD_BYTES = 1000
/** Aedes's own notices of its life on `$SYS`, which nobody reads here. */
const HEARTBEAT_MS = 60 * 60 * 1000

/** Whoever receives what the router finds for a client. */
export interface Receiver {
  /** An id for a message that is sent as soon as it is stored; null: it waits, and {@link queued} follows. */
  reservePacketId(): number | null
  /** A message of this receiver's queue is stored under a number. `packetId` is what was reserved for it. */
  queued(message: number, packetId: number | null, packet: RoutedPacket, match: Match): void
  /** The message was not stored after all. */
  notQueued(packetId: number | null): void
  /** A message that no queue holds. */
  routed(packet: RoutedPacket): void
}

export type Receipt = { clientId: string; packetId: number }

/** Null: stored as far as it has to be, and routed. */
export type Decided = (refusal: WochatError | null) => void

type Target = { receiver: Receiver | undefined; packetId: number | null; match: Match }

/** The parts of Aedes that its types leave out, or that are ours to replace. */
type AedesInside = {
  clients: Record<string, Client>
  brokers: Record<string, unknown>
  counter: number
  mq: { emit(packet: RoutedPacket, done: () => void): void }
}

export class Router extends Aedes {
  readonly receivers = new Map<string, Receiver>()
  readonly #persistence: RoutingPersistence
  readonly #order = new PublishOrder()
  /** Messages that are being routed: who gets them from a queue, by their number. */
  readonly #routing = new Map<number, { packet: RoutedPacket; targets: ReadonlyMap<string, Target> }>()
  publications = 0
  #publishingBytes = 0

  constructor(persistence: RoutingPersistence) {
    super({
      persistence,
      // Every subscriber is called in the same turn as the message comes: they take it at once.
      concurrency: 0,
      heartbeatInterval: HEARTBEAT_MS,
      maxTopicLevels: TOPIC_LEVELS_MAX,
      authorizePublish: (_client, _packet, done) => done(new Error('publishing goes past Aedes')),
      authorizeSubscribe: (client, subscription, done) =>
        done(null, mayUseFilter(client.id, subscription.topic) ? subscription : null),
      authorizeForward: (client, packet) => {
        this.#forward(client.id, packet as unknown as RoutedPacket)
        // The receiver has it: Aedes writes nothing.
        return null
      },
    })
    this.#persistence = persistence
    // Keyed by client id: a plain object would find `constructor` in itself.
    const inside = this as unknown as AedesInside
    inside.clients = Object.create(null)
    inside.brokers = Object.create(null)
  }

  /** Messages that wait for the store, or for those before them. */
  get waiting(): number {
    return this.#order.length
  }

  /** Only Aedes calls this, for its notices on `$SYS`; a message of a client goes through {@link route}. */
  override publish(_packet: unknown, client?: unknown, done?: unknown): void {
    const callback = typeof client === 'function' ? client : done
    if (typeof callback === 'function') callback()
  }

  /** Aedes would end sessions by timers that no restart survives; the gate ends them. */
  scheduleSessionExpiry(): void {}

  /**
   * Takes a message: stores what must be stored (retained, waiting, the receipt of a QoS 2 PUBLISH) in one commit,
   * then routes it, in the order of calls.
   */
  route(publication: Publication, from: string | null, receipt: Receipt | null, decided: Decided): void {
    const bytes = publication.payload.length + MESSAGE_OVERHEAD_BYTES
    if (this.#publishingBytes + bytes > PUBLISHING_BYTES_MAX) {
      decided(new WochatError('busy'))
      return
    }
    this.#publishingBytes += bytes
    const packet = this.#number(publication, from)
    const targets = this.#targets(packet, from)
    let refusal: WochatError | null = null
    let message = 0
    let refused: ReadonlySet<string> = new Set()
    const ready = this.#order.enter(() => {
      this.#publishingBytes -= bytes
      if (refusal === null) this.#emit(packet, targets, message, refused)
      else for (const { receiver, packetId } of targets.values()) receiver?.notQueued(packetId)
      decided(refusal)
    })
    if (targets.size === 0 && !packet.retain && receipt === null) {
      ready()
      return
    }
    this.#persistence
      .publish({ packet, retain: packet.retain, targets: toPlainTargets(targets), receipt })
      .then(
        (stored) => {
          message = stored.message
          refused = new Set(stored.refused.map(({ clientId }) => clientId))
          ready()
        },
        (error: unknown) => {
          refusal = asWochatError(error)
          ready()
        },
      )
  }

  /** Lets a message, already stored under its topic, wait for one session. */
  async enqueue(packet: RoutedPacket, clientId: string, match: Match): Promise<void> {
    const receiver = this.receivers.get(clientId)
    const packetId = receiver?.reservePacketId() ?? null
    const targets = [{ clientId, packetId, ...match }]
    let queued = 0
    const ready = this.#order.enter(() => {
      if (queued === 0) receiver?.notQueued(packetId)
      else receiver?.queued(queued, packetId, packet, match)
    })
    try {
      queued = (await this.#persistence.publish({ packet, retain: false, targets, receipt: null })).message
    } finally {
      ready()
    }
  }

  #number({ topic, payload, qos, retain, properties }: Publication, from: string | null): RoutedPacket {
    const inside = this as unknown as AedesInside
    const expiry = properties?.messageExpiryInterval
    this.publications++
    return {
      cmd: 'publish',
      brokerId: this.id,
      brokerCounter: ++inside.counter,
      topic,
      payload,
      qos,
      retain,
      dup: false,
      ...(from !== null && { clientId: from }),
      ...(properties !== null && { properties }),
      ...(expiry !== undefined && { messageExpiry: Date.now() + expiry * 1000 }),
    }
  }

  #targets(packet: RoutedPacket, from: string | null): Map<string, Target> {
    const targets = new Map<string, Target>()
    if (packet.qos === 0) return targets
    for (const [clientId, match] of this.#persistence.sessions.targets(
      packet.topic,
      packet.qos,
      packet.retain,
      from,
    )) {
      if (!mayUseTopic(clientId, packet.topic)) continue
      const receiver = this.receivers.get(clientId)
      targets.set(clientId, { receiver, packetId: receiver?.reservePacketId() ?? null, match })
    }
    return targets
  }

  #emit(
    packet: RoutedPacket,
    targets: ReadonlyMap<string, Target>,
    message: number,
    refused: ReadonlySet<string>,
  ): void {
    const inside = this as unknown as AedesInside
    this.#routing.set(packet.brokerCounter, { packet, targets })
    inside.mq.emit(packet, () => {})
    this.#routing.delete(packet.brokerCounter)
    for (const [clientId, { receiver, packetId, match }] of targets) {
      if (refused.has(clientId)) receiver?.notQueued(packetId)
      else receiver?.queued(message, packetId, packet, match)
    }
  }

  /** Aedes found a subscription of a client. What waits in a queue comes from there. */
  #forward(clientId: string, copy: RoutedPacket): void {
    const routing = this.#routing.get(copy.brokerCounter)
    if (routing === undefined || routing.targets.has(clientId)) return
    if (mayUseTopic(clientId, copy.topic)) this.receivers.get(clientId)?.routed(routing.packet)
  }
}

function toPlainTargets(targets: ReadonlyMap<string, Target>): PlainTarget[] {
  return [...targets].map(([clientId, { packetId, match }]) => ({ clientId, packetId, ...match }))
}
