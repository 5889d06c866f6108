/**
 * Aedes's persistence on our store: the whole asynchronous interface of `aedes-persistence` 10.3, whose abstract
 * suite it passes. A promise that resolves is on disk.
 *
 * In memory, as a copy of what the disk holds: subscriptions (some 500 bytes each, bounded per session) and the names
 * of retained topics (bounded by `retainedIndexBytesMax`). Payloads stay on disk.
 */
import { Readable } from 'node:stream'
import { WochatError } from '../../protocol/errors.ts'
import type { PlainOutcome, PlainPublication, PlainStore, PlainTarget } from '../../services/store/plain.ts'
import type { Qos } from '../gate/codec/constants.ts'
import { type AedesSubscription, type AedesWill, fromAedes, toAedes, toQueuedPacket } from './aedes-forms.ts'
import { IndexFollower } from './index-follower.ts'
import { type AnyPacket, decodeFields, encodeFields, fromMessage, originOf, toMessage } from './packet.ts'
import { SessionIndex } from './session-index.ts'
import { costOf, TopicTree } from './topic-tree.ts'

/** Retained messages read by one call. */
const PAGE_RETAINED = 50
/** Waiting messages read by one call through Aedes's interface. */
const PAGE_QUEUE = 100
const PAGE_QUEUE_BYTES = 1024 * 1024
const PAGE_WILLS = 100

type PersistenceSettings = {
  /** Messages that may wait for one session; what comes then is not kept for it, and counted. */
  queuedMax: number
  /** Memory for the names of retained topics; a new one above it is refused. */
  retainedIndexBytesMax: number
  /** Other nodes write to the store, too. */
  isShared: boolean
}

type ClientRef = { id: string }
type Broker = { id: string }

export type PublishInput = {
  packet: AnyPacket
  retain: boolean
  targets: readonly PlainTarget[]
  receipt: PlainPublication['receipt']
  will: PlainPublication['will']
}

export class PlainPersistence {
  readonly store: PlainStore
  readonly sessions = new SessionIndex()
  readonly follower: IndexFollower
  /** Of the sessions that are attached here. */
  readonly generations = new Map<string, number>()
  readonly #settings: PersistenceSettings
  readonly #topics = new TopicTree()
  #broker: Broker = { id: '' }
  /** A newer connection holds a session that was attached here. */
  onMoved: (clientId: string) => void = () => {}
  /** Messages that were not kept for a session whose queue was full. */
  dropped = 0

  constructor(store: PlainStore, settings: PersistenceSettings) {
    this.store = store
    this.#settings = settings
    this.follower = new IndexFollower(store, this.sessions, this.#topics)
  }

  get isShared(): boolean {
    return this.#settings.isShared
  }

  get broker(): Broker {
    return this.#broker
  }

  async setup(broker: Broker): Promise<void> {
    this.#broker = broker
    await this.follower.load()
  }

  async destroy(): Promise<void> {}

  // -------------------------------------------------------------- publishing

  /**
   * Takes messages in one commit, none of which {@link refusalOf} refuses; null: others have changed what their
   * targets were chosen by, and nothing was kept. Rejects with a WochatError, and then nothing was kept either.
   */
  async publish(inputs: readonly PublishInput[]): Promise<PlainOutcome[] | null> {
    return this.#publish(inputs, this.isShared ? this.follower.known : null)
  }

  /** Takes a message whose targets do not depend on subscriptions. */
  async publishTo(input: Omit<PublishInput, 'receipt' | 'will'>): Promise<PlainOutcome> {
    const refusal = input.retain ? this.refusalOf(input.packet) : null
    if (refusal !== null) throw refusal
    const outcomes = await this.#publish([{ ...input, receipt: null, will: null }], null)
    return outcomes![0]!
  }

  async #publish(inputs: readonly PublishInput[], known: number | null): Promise<PlainOutcome[] | null> {
    const publications = inputs.map(toPublication)
    const { queuedMax } = this.#settings
    const result = await this.store.publishPlain({ publications, known, queuedMax })
    if (result.stale) return null
    for (const { retained, message } of publications) {
      if (retained === 'keep') this.#topics.add(message.topic)
      else if (retained === 'clear') this.#topics.delete(message.topic)
    }
    if (result.step !== null) this.follower.stepped(result.step)
    for (const { refused = [] } of result.outcomes) {
      for (const { clientId, reason } of refused) {
        if (reason === 'full') this.dropped++
        // The session was ended in the store by another way than ours.
        else this.sessions.end(clientId)
      }
    }
    return result.outcomes
  }

  /** Why a message cannot be the retained one of its topic. */
  refusalOf({ topic, payload, retain }: AnyPacket & { retain?: boolean }): WochatError | null {
    if (retain === false || payload.length === 0 || this.#topics.has(topic)) return null
    if (this.#topics.bytes + costOf(topic) <= this.#settings.retainedIndexBytesMax) return null
    return new WochatError('busy', 'No more topics with a retained message are taken.')
  }

  // -------------------------------------------------------------- retained messages

  async storeRetained(packet: AnyPacket): Promise<void> {
    await this.publishTo({ packet, retain: true, targets: [] })
  }

  createRetainedStream(pattern: string): Readable {
    return this.createRetainedStreamCombi([pattern])
  }

  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    return Readable.from(this.#retained(patterns))
  }

  async *#retained(patterns: readonly string[]): AsyncGenerator<AnyPacket> {
    for (const pattern of patterns) yield* this.retained(pattern)
  }

  /** Retained messages that a filter matches, read from the store as they are asked for. */
  async *retained(filter: string): AsyncGenerator<AnyPacket> {
    let page: string[] = []
    for (const topic of this.#topics.matching(filter)) {
      page.push(topic)
      if (page.length < PAGE_RETAINED) continue
      yield* await this.#readRetained(page)
      page = []
    }
    if (page.length > 0) yield* await this.#readRetained(page)
  }

  async #readRetained(topics: readonly string[]): Promise<AnyPacket[]> {
    return (await this.store.plainRetained({ topics })).map((message) => fromMessage(message))
  }

  // -------------------------------------------------------------- subscriptions

  async addSubscriptions(client: ClientRef, subscriptions: readonly AedesSubscription[]): Promise<void> {
    const stored = subscriptions.map(fromAedes)
    const step = await this.store.subscribePlain({ ...this.#held(client), subscriptions: stored })
    if (step === null) throw this.#movedError(client)
    for (const subscription of stored) this.sessions.add(client.id, subscription)
    this.follower.stepped(step)
  }

  async removeSubscriptions(client: ClientRef, filters: readonly string[]): Promise<void> {
    const step = await this.store.unsubscribePlain({ ...this.#held(client), filters })
    if (step === null) throw this.#movedError(client)
    for (const filter of filters) this.sessions.remove(client.id, filter)
    this.follower.stepped(step)
  }

  #movedError({ id }: ClientRef): Error {
    this.onMoved(id)
    return new Error(`a newer connection has the session of ${id}`)
  }

  #held({ id }: ClientRef): { clientId: string; generation: number | null } {
    return { clientId: id, generation: this.generations.get(id) ?? null }
  }

  async subscriptionsByClient(client: ClientRef): Promise<AedesSubscription[]> {
    return [...this.sessions.of(client.id).values()].map(toAedes)
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return { subsCount: this.sessions.queueing, clientsCount: this.sessions.subscribers }
  }

  async subscriptionsByTopic(topic: string) {
    return this.sessions
      .match(topic)
      .map(({ clientId, filter, qos, rh, rap, nl }) => ({ clientId, topic: filter, qos, rh, rap, nl }))
  }

  /** Ends the session: its subscriptions and all that waits. Nothing is delivered to it from this moment on. */
  async cleanSubscriptions(client: ClientRef): Promise<void> {
    if (!this.sessions.has(client.id)) return
    await this.endSession(client.id, null)
  }

  /** `generation` null: whoever holds it. */
  async endSession(clientId: string, generation: number | null): Promise<void> {
    this.sessions.end(clientId)
    this.follower.stepped(await this.store.endPlainSession({ clientId, generation }))
  }

  getClientList(filter: string): Readable {
    return Readable.from(this.sessions.subscribersOf(filter))
  }

  // -------------------------------------------------------------- what waits for a session

  async outgoingEnqueue(subscription: { clientId: string }, packet: AnyPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet)
  }

  async outgoingEnqueueCombi(
    subscriptions: readonly { clientId: string }[],
    packet: AnyPacket,
  ): Promise<void> {
    const clientIds = [...new Set(subscriptions.map(({ clientId }) => clientId))]
    // Aedes enqueues for sessions whose subscriptions it knows of; through the bare interface one may be new.
    for (const clientId of clientIds) {
      if (!this.sessions.has(clientId)) await this.openSession(clientId)
    }
    const { qos, retain } = packet as { qos?: Qos; retain?: boolean }
    const targets = clientIds.map((clientId) => ({
      clientId,
      qos: qos ?? 0,
      retain: retain === true,
      identifiers: [],
      packetId: null,
      generation: null,
    }))
    await this.publishTo({ packet, retain: false, targets })
  }

  async openSession(clientId: string): Promise<Awaited<ReturnType<PlainStore['resumePlain']>>> {
    this.sessions.open(clientId)
    return this.store.resumePlain({ clientId, persistent: true })
  }

  async outgoingUpdate(
    client: ClientRef,
    packet: AnyPacket & { cmd?: string; messageId?: number },
  ): Promise<void> {
    const packetId = packet.messageId ?? 0
    const clientId = client.id
    const found =
      packet.cmd === 'pubrel'
        ? await this.store.releasePlain({ clientId, generation: null, packetId })
        : await this.store.markPlainSent({ clientId, origin: originOf(packet), packetId })
    if (!found) throw new Error('no such packet')
  }

  /** Nothing for a packet without an id: Aedes means by it one that it did not send. */
  async outgoingClearMessageId(
    client: ClientRef,
    { messageId }: { messageId?: number },
  ): Promise<object | undefined> {
    if (messageId === undefined) return undefined
    const delivery = await this.store.findPlainSent({ clientId: client.id, packetId: messageId })
    if (delivery === null) return undefined
    await this.store.settlePlain([{ clientId: client.id, generation: null, message: delivery.message }])
    return toQueuedPacket(delivery)
  }

  outgoingStream(client: ClientRef): Readable {
    return Readable.from(this.#outgoing(client.id))
  }

  async *#outgoing(clientId: string): AsyncGenerator<object> {
    let after = 0
    for (;;) {
      const { deliveries } = await this.store.takePlain({
        clientId,
        generation: null,
        after,
        packetIds: null,
        entriesMax: PAGE_QUEUE,
        bytesMax: PAGE_QUEUE_BYTES,
      })
      const last = deliveries.at(-1)
      if (last === undefined) return
      after = last.message
      for (const delivery of deliveries) yield toQueuedPacket(delivery)
    }
  }

  // -------------------------------------------------------------- QoS 2 from clients

  async incomingStorePacket(client: ClientRef, packet: AnyPacket & { messageId: number }): Promise<void> {
    const { messageId: packetId, payload, ...rest } = packet
    const bytes = Buffer.from(payload)
    await this.store.keepPlainReceipt({
      clientId: client.id,
      packetId,
      packet: encodeFields({ ...rest, payload: bytes }),
    })
  }

  async incomingGetPacket(client: ClientRef, { messageId }: { messageId: number }): Promise<object> {
    const packet = await this.store.findPlainReceipt({ clientId: client.id, packetId: messageId })
    if (packet === null) throw new Error('no such packet')
    const { length: _, ...fields } = packet === '' ? {} : decodeFields<{ length?: number }>(packet)
    return { ...fields, messageId }
  }

  async incomingDelPacket(client: ClientRef, { messageId }: { messageId: number }): Promise<void> {
    const found = await this.store.dropPlainReceipt({
      clientId: client.id,
      generation: null,
      packetId: messageId,
    })
    if (!found) throw new Error('no such packet')
  }

  // -------------------------------------------------------------- wills

  async putWill(client: ClientRef, will: AedesWill): Promise<void> {
    will.brokerId = this.#broker.id
    will.clientId = client.id
    await this.store.keepPlainWill({ clientId: client.id, will: encodeFields(will), delayMs: 0, holder: '' })
  }

  async getWill(client: ClientRef): Promise<AedesWill | undefined> {
    const found = await this.store.findPlainWill(client.id)
    return found === null ? undefined : decodeFields<AedesWill>(found.will)
  }

  async delWill(client: ClientRef): Promise<AedesWill | undefined> {
    const will = await this.getWill(client)
    await this.store.dropPlainWill({ clientId: client.id, will: null })
    return will
  }

  streamWill(brokers: Record<string, unknown> = {}): Readable {
    return Readable.from(this.#wills((brokerId) => !Object.hasOwn(brokers, brokerId)))
  }

  async *#wills(isWanted: (brokerId: string) => boolean): AsyncGenerator<AedesWill> {
    let after = ''
    for (;;) {
      const page = await this.store.pagePlainWills({ after, entriesMax: PAGE_WILLS })
      for (const { will } of page) {
        const packet = decodeFields<AedesWill>(will)
        if (isWanted(packet.brokerId ?? '')) yield packet
      }
      if (page.length < PAGE_WILLS) return
      after = page.at(-1)!.clientId
    }
  }
}

/**
 * What Aedes itself gets to see. It routes; the link sends retained and waiting messages, in step with the window of
 * its connection, and wills are ours: so it finds none of them.
 */
export class RoutingPersistence extends PlainPersistence {
  override createRetainedStreamCombi(): Readable {
    return Readable.from([])
  }

  override outgoingStream(): Readable {
    return Readable.from([])
  }

  override streamWill(): Readable {
    return Readable.from([])
  }

  /** Aedes clears the will of every client that connects to it. */
  override async delWill(): Promise<undefined> {
    return undefined
  }
}

function toPublication({ packet, retain, targets, receipt, will }: PublishInput): PlainPublication {
  const retained = retain ? (packet.payload.length === 0 ? 'clear' : 'keep') : null
  return { message: toMessage(packet), retained, targets, receipt, will }
}
