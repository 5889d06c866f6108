/**
 * Aedes, kept to what it does well: sessions' subscriptions, matching, and one copy per client of what matches.
 *
 * Its own way of publishing is not used. It acknowledges before it stores; it stores the receipt of a QoS 2 PUBLISH
 * before the message, so that a crash between the two loses it; and it routes a QoS 0 message past a QoS 1 one that
 * waits for the store, which it then drops as a duplicate. docs/adr/0002-engine.md has the runs.
 */
import { Aedes, type Client } from 'aedes'
import { asWochatError, WochatError } from '../../protocol/errors.ts'
import type { PlainOutcome } from '../../services/store/plain.ts'
import { ClusterEmitter, type PlainCarrier } from './cluster-emitter.ts'
import { Commits, type Target, toPlainTargets } from './commits.ts'
import type { Publication, RoutedPacket } from './packet.ts'
import type { PublishInput, RoutingPersistence } from './persistence.ts'
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
  /** Of the session that it receives for; null without a stored one. */
  readonly generation: number | null
  /** An id for a message that is sent as soon as it is stored; null: it waits, and {@link queued} follows. */
  reservePacketId(): number | null
  /** A message of this receiver's queue is stored under a number. `packetId` is what was reserved for it. */
  queued(message: number, packetId: number | null, packet: RoutedPacket, match: Match): void
  /** The message was not stored after all. */
  notQueued(packetId: number | null): void
  /** It is stored, but waits: something waits before it, or a newer connection has the session. */
  unsent(packetId: number | null): void
  /** Another node may have stored a message for this receiver's queue. */
  rung(): void
  /** A message that no queue holds. */
  routed(packet: RoutedPacket): void
}

type Receipt = NonNullable<PublishInput['receipt']>

/** Null: stored as far as it has to be, and routed. */
export type Decided = (refusal: WochatError | null) => void

/** Who numbered a message that came from another node, to Aedes, which looks at the order of each numbering. */
const CARRIED = 'carried'
const NO_TARGETS: ReadonlyMap<string, Target> = new Map()

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
  readonly #commits: Commits
  readonly #emitter: ClusterEmitter | null
  /** The message that is being routed, and who gets it from a queue. */
  #routing: { packet: RoutedPacket; queued: { has(clientId: string): boolean } } | null = null
  #carried = 0
  publications = 0
  #publishingBytes = 0

  constructor(persistence: RoutingPersistence, carrier: PlainCarrier | null) {
    // Every subscriber is called in the same turn as the message comes: they take it at once.
    const concurrency = 0
    const emitter =
      carrier === null ? null : new ClusterEmitter(carrier, { concurrency, matchEmptyLevels: true })
    super({
      persistence,
      concurrency,
      ...(emitter !== null && { mq: emitter }),
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
    this.#commits = new Commits(persistence, (packet, from) => this.#targets(packet, from))
    this.#emitter = emitter
    if (emitter !== null) {
      emitter.onCarried = (message) => this.#takeCarried(message as unknown as RoutedPacket)
    }
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
   * then routes it, in the order of calls. `will`: it is routed only if that will is still there.
   */
  route(
    publication: Publication,
    from: string | null,
    { receipt = null, will = null }: { receipt?: Receipt | null; will?: PublishInput['will'] },
    decided: Decided,
  ): void {
    const bytes = publication.payload.length + MESSAGE_OVERHEAD_BYTES
    if (this.#publishingBytes + bytes > PUBLISHING_BYTES_MAX) {
      decided(new WochatError('busy'))
      return
    }
    this.#publishingBytes += bytes
    const packet = this.#number(publication, from)
    // Of a store that nodes share only the commit knows who must get it.
    const { isShared } = this.#persistence
    const targets = isShared ? NO_TARGETS : this.#targets(packet, from)
    const commit = { packet, from, receipt, will, targets, decided: (_: PlainOutcome | Error) => {} }
    let outcome: PlainOutcome | Error = { taken: true, message: 0 }
    const ready = this.#order.enter(() => {
      this.#publishingBytes -= bytes
      decided(this.#finish(packet, commit.targets, outcome, will !== null))
    })
    const isAlone = isShared ? packet.qos === 0 : targets.size === 0
    if (isAlone && !packet.retain && receipt === null && will === null) {
      ready()
      return
    }
    commit.decided = (result) => {
      outcome = result
      ready()
    }
    this.#commits.add(commit)
  }

  #finish(
    packet: RoutedPacket,
    targets: ReadonlyMap<string, Target>,
    outcome: PlainOutcome | Error,
    isWill: boolean,
  ): WochatError | null {
    if (!(outcome instanceof Error) && outcome.taken) {
      this.#emit(packet, targets, outcome)
      return null
    }
    for (const { receiver, packetId } of targets.values()) receiver?.notQueued(packetId)
    if (outcome instanceof Error) return asWochatError(outcome)
    // Not taken. A will was published elsewhere, or cancelled; else the session of the publisher has moved on, and
    // what it did not see acknowledged it sends again.
    return isWill ? null : new WochatError('busy')
  }

  /** Lets a message, already stored under its topic, wait for one session. */
  async enqueue(packet: RoutedPacket, clientId: string, match: Match): Promise<void> {
    const receiver = this.receivers.get(clientId)
    const packetId = receiver?.reservePacketId() ?? null
    const targets = new Map([[clientId, { receiver, packetId, match }]])
    let outcome: PlainOutcome | null = null
    const ready = this.#order.enter(() => {
      if (outcome === null) receiver?.notQueued(packetId)
      else this.#tellTargets(packet, targets, outcome)
    })
    try {
      outcome = await this.#persistence.publishTo({
        packet,
        retain: false,
        targets: toPlainTargets(targets, this.#persistence.isShared),
      })
    } finally {
      ready()
    }
  }

  // -------------------------------------------------------------- other nodes

  /** A frame that another node's router emitted; false if it cannot be read. */
  receive(frame: Buffer): boolean {
    return this.#emitter?.receive(frame) ?? false
  }

  /** What was for stored sessions is in their queues; all else is delivered from the message itself. */
  #takeCarried(carried: RoutedPacket): void {
    const packet = { ...carried, brokerId: CARRIED, brokerCounter: ++this.#carried }
    const { topic, qos, retain, clientId = null } = packet
    const queued = qos === 0 ? NO_TARGETS : this.#persistence.sessions.targets(topic, qos, retain, clientId)
    this.#during(packet, queued, () => this.#emitter?.emitHere(packet))
    for (const target of queued.keys()) this.receivers.get(target)?.rung()
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

  #emit(packet: RoutedPacket, targets: ReadonlyMap<string, Target>, outcome: PlainOutcome): void {
    const inside = this as unknown as AedesInside
    this.#during(packet, targets, () => inside.mq.emit(packet, () => {}))
    this.#tellTargets(packet, targets, outcome)
  }

  #tellTargets(
    packet: RoutedPacket,
    targets: ReadonlyMap<string, Target>,
    { message, refused, unsent }: PlainOutcome,
  ): void {
    const isRefused = refused && new Set(refused.map(({ clientId }) => clientId))
    for (const [clientId, { receiver, packetId, match }] of targets) {
      if (receiver === undefined) continue
      if (isRefused?.has(clientId) === true) receiver.notQueued(packetId)
      else if (unsent?.includes(clientId) === true) receiver.unsent(packetId)
      else receiver.queued(message, packetId, packet, match)
    }
  }

  #during(packet: RoutedPacket, queued: { has(clientId: string): boolean }, emit: () => void): void {
    // A delivery may lead to a next message within it.
    const outer = this.#routing
    this.#routing = { packet, queued }
    emit()
    this.#routing = outer
  }

  /** Aedes found a subscription of a client. What waits in a queue comes from there. */
  #forward(clientId: string, copy: RoutedPacket): void {
    const routing = this.#routing
    if (routing === null || routing.queued.has(clientId)) return
    if (mayUseTopic(clientId, copy.topic)) this.receivers.get(clientId)?.routed(routing.packet)
  }
}
