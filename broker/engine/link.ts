/**
 * One connection's side of the engine, from attach to detach.
 *
 * What is handed in takes effect in its order: messages before the engine is ready wait, and so do those behind a
 * SUBSCRIBE until it is answered.
 */
import type { PlainStore } from '../../services/store/plain.ts'
import { type ProtocolVersion, ReasonCode, SUBACK_FAILURE_311 } from '../gate/codec/constants.ts'
import type { Subscription } from '../gate/codec/decode.ts'
import type { Will } from '../gate/codec/decode-connect.ts'
import { countLevels } from '../gate/codec/topic-filter.ts'
import { AedesClient } from './aedes-client.ts'
import { Incoming } from './incoming.ts'
import { Outgoing, type SettleMessage } from './outgoing.ts'
import type { Publication } from './packet.ts'
import type { RoutingPersistence } from './persistence.ts'
import { RetainedReader } from './retained-reader.ts'
import { type Decided, type Router, TOPIC_LEVELS_MAX } from './router.ts'
import type { StoredSubscription } from './session-index.ts'
import type { EngineClosedReason, EngineSink } from './sink.ts'
import { mayUseFilter } from './topic-wall.ts'
import type { Wills } from './wills.ts'

/** Packets that may wait for the engine to be ready, or for a SUBSCRIBE before them. */
const HANDED_IN_MAX = 2000

export type AttachOptions = {
  clientId: string
  version: ProtocolVersion
  cleanStart: boolean
  /** 0: the session ends with the connection. */
  sessionExpirySeconds: number
  will?: Will | undefined
  /** The engine ends the session when its expiry is over; without it the gate does. */
  endsByTime?: boolean
  sink: EngineSink
}

/** What a link works with; the engine's own. */
type LinkParts = {
  router: Router
  persistence: RoutingPersistence
  store: PlainStore
  wills: Wills
  bounds: { receiptsMax: number; waitingBytesMax: number; subscriptionsMax: number }
  settle: SettleMessage
  failed: (error: unknown, clientId: string) => void
  /** When the connection before of the same client has left. */
  earlier: Promise<void>
}

type ResumedSession = Awaited<ReturnType<PlainStore['resumePlain']>>

export class EngineLink {
  readonly options: AttachOptions
  readonly #parts: LinkParts
  readonly #outgoing: Outgoing
  readonly #incoming: Incoming
  readonly #sink: EngineSink
  readonly #isPersistent: boolean
  #aedes: AedesClient | null = null
  #state: 'starting' | 'open' | 'closed' = 'starting'
  readonly #handedIn: (() => void)[] = []
  #generation: number | null = null
  /** A SUBSCRIBE or UNSUBSCRIBE is being answered. */
  #isBusy = false
  /** Resolves when the engine is attached and the will is on disk, or when it closed before. Never rejects. */
  readonly ready: Promise<void>

  constructor(parts: LinkParts, options: AttachOptions) {
    this.options = options
    this.#parts = parts
    const { clientId, sink } = options
    const { router, store, bounds } = parts
    this.#sink = sink
    this.#isPersistent = options.sessionExpirySeconds > 0
    const ownSink = this.#guard(sink)
    this.#outgoing = new Outgoing({
      clientId,
      store,
      sink: ownSink,
      waitingBytesMax: bounds.waitingBytesMax,
      settle: parts.settle,
    })
    this.#incoming = new Incoming({
      clientId,
      router,
      store,
      sink: ownSink,
      receiptsMax: bounds.receiptsMax,
      isDurable: this.#isPersistent,
    })
    this.ready = this.#start().catch((error: unknown) => {
      if (this.#state === 'closed') return
      parts.failed(error, clientId)
      this.#close('engine')
    })
  }

  /** Messages of QoS 1 and 2 towards the client that are unacknowledged, or about to be sent. */
  get inflight(): number {
    return this.#outgoing.inflight
  }

  get halfOpen(): number {
    return this.#incoming.halfOpen
  }

  get waitingBytes(): number {
    return this.#outgoing.waitingBytes
  }

  /** Of its stored session, once it is resumed. */
  get generation(): number | null {
    return this.#generation
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  async #start(): Promise<void> {
    const { router, persistence, wills, earlier } = this.#parts
    const { clientId, version, cleanStart, sessionExpirySeconds, will } = this.options
    await earlier
    if (this.#state === 'closed') return
    if (cleanStart) await this.#startClean()
    if (this.#isPersistent) persistence.sessions.open(clientId)
    const isStored = persistence.isShared
      ? !cleanStart || this.#isPersistent
      : persistence.sessions.has(clientId)
    const [session] = await Promise.all([
      isStored ? this.#resume() : null,
      wills.connected(clientId, will, sessionExpirySeconds),
    ])
    if (this.#isClosed) return
    for (const [filter, subscription] of persistence.sessions.of(clientId)) {
      this.#outgoing.subscriptions.set(filter, subscription)
    }
    this.#aedes = new AedesClient(router, version, () => this.#close('engine'))
    router.receivers.set(clientId, this.#outgoing)
    await this.#aedes.connect(clientId, { persistent: this.#isPersistent })
    if (this.#isClosed) return
    // Not before those who wait for `ready` have had their turn: the CONNACK goes out first.
    setImmediate(() => this.#open(session))
  }

  /** Nothing is left of an earlier session, although the index may not know yet. */
  async #startClean(): Promise<void> {
    const { persistence } = this.#parts
    const { clientId, endsByTime } = this.options
    if (!persistence.isShared) await persistence.cleanSubscriptions({ id: clientId })
    // Of the others the gate has ended it with the commit of the CONNECT; by now there may be a newer one.
    else if (endsByTime === true) await persistence.endSession(clientId, null)
  }

  async #resume(): Promise<ResumedSession | null> {
    const { persistence, store } = this.#parts
    const { clientId } = this.options
    const session = await store.resumePlain({ clientId, persistent: this.#isPersistent })
    if (session.generation === null) return null
    this.#generation = session.generation
    persistence.generations.set(clientId, session.generation)
    // Nobody else changes its subscriptions from now on.
    if (persistence.isShared) await persistence.follower.catchUp()
    return session
  }

  #open(session: ResumedSession | null): void {
    if (this.#isClosed) return
    this.#state = 'open'
    if (session !== null) this.#incoming.resume(session.receipts, session.generation)
    this.#outgoing.open(session)
    this.#runHandedIn()
  }

  // The state changes while things are awaited, which the compiler does not see.
  get #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #run(step: () => void): void {
    if (this.#state === 'open' && !this.#isBusy && this.#handedIn.length === 0) step()
    else if (this.#handedIn.length < HANDED_IN_MAX) this.#handedIn.push(step)
    else this.#close('overload')
  }

  #runHandedIn(): void {
    while (this.#state === 'open' && !this.#isBusy) {
      const step = this.#handedIn.shift()
      if (step === undefined) return
      step()
    }
  }

  // -------------------------------------------------------------- packets of the client

  /**
   * Takes a message. `decided` is called once, when it is stored as far as it must be and routed, or refused; never
   * after the link closed. A repeated QoS 2 PUBLISH is decided like the first, and routed once.
   */
  publish(publication: Publication, packetId: number, decided: Decided): void {
    this.#run(() =>
      this.#incoming.publish(publication, packetId, (refusal) => {
        if (this.#state !== 'closed') decided(refusal)
      }),
    )
  }

  /** Resolves with the granted QoS or a SUBACK code from 0x80 up; retained messages follow. Never rejects. */
  subscribe(subscription: Subscription, identifier?: number): Promise<number> {
    const refusal = this.#refuseFilter(subscription)
    if (refusal !== null) return Promise.resolve(refusal)
    return this.#ask(async (aedes) => {
      const { subscriptions } = this.#outgoing
      const { filter, qos, noLocal, retainAsPublished, retainHandling } = subscription
      const before = subscriptions.get(filter)
      if (before === undefined && subscriptions.size >= this.#parts.bounds.subscriptionsMax) {
        return this.#code(ReasonCode.quotaExceeded)
      }
      const { clientId } = this.options
      const wanted = { clientId, filter, qos, rap: retainAsPublished, nl: noLocal, identifier }
      // From now on, because a message may come before the answer.
      subscriptions.set(filter, wanted)
      const code = await aedes.subscribe(subscription, identifier)
      if (code >= 0x80) {
        if (before === undefined) subscriptions.delete(filter)
        else subscriptions.set(filter, before)
        return code
      }
      if (retainHandling === 0 || (retainHandling === 1 && before === undefined)) {
        const { persistence } = this.#parts
        if (persistence.isShared) await persistence.follower.catchUp()
        this.#sendRetained(wanted)
      }
      return code
    })
  }

  /** Resolves with 0, or 0x11 when there was no such subscription. Never rejects. */
  unsubscribe(filter: string): Promise<number> {
    return this.#ask(async (aedes) => {
      const wasThere = this.#outgoing.subscriptions.has(filter)
      await aedes.unsubscribe(filter)
      this.#outgoing.subscriptions.delete(filter)
      return wasThere ? ReasonCode.success : ReasonCode.noSubscriptionExisted
    })
  }

  puback(packetId: number): void {
    this.#outgoing.puback(packetId)
  }

  pubrec(packetId: number, reason: number): void {
    this.#outgoing.pubrec(packetId, reason)
  }

  pubcomp(packetId: number): void {
    this.#outgoing.pubcomp(packetId)
  }

  /** A message that the client cannot take, as too large: it counts as delivered. */
  discard(packetId: number): void {
    this.#outgoing.discard(packetId)
  }

  pubrel(packetId: number): void {
    this.#run(() => this.#incoming.pubrel(packetId))
  }

  /** There may be room again, or the socket has drained. */
  pump(): void {
    if (this.#state === 'open') this.#outgoing.pump()
  }

  #ask(request: (aedes: AedesClient) => Promise<number>): Promise<number> {
    return new Promise((resolve) => {
      this.#run(() => {
        this.#isBusy = true
        request(this.#aedes!).then(
          (code) => {
            resolve(code)
            this.#isBusy = false
            this.#runHandedIn()
          },
          (error: unknown) => {
            resolve(this.#code(ReasonCode.unspecifiedError))
            if (this.#isClosed) return
            this.#parts.failed(error, this.options.clientId)
            this.#close('engine')
          },
        )
      })
    })
  }

  #refuseFilter({ filter, shared }: Subscription): number | null {
    if (shared !== undefined) return this.#code(ReasonCode.sharedSubscriptionsNotSupported)
    if (countLevels(filter) > TOPIC_LEVELS_MAX) return this.#code(ReasonCode.topicFilterInvalid)
    return mayUseFilter(this.options.clientId, filter) ? null : this.#code(ReasonCode.notAuthorized)
  }

  #code(reason: number): number {
    return this.options.version === 5 ? reason : SUBACK_FAILURE_311
  }

  #sendRetained(subscription: StoredSubscription): void {
    const { persistence, router, failed } = this.#parts
    const { clientId } = this.options
    const reader = new RetainedReader({
      clientId,
      persistence,
      router,
      outgoing: this.#outgoing,
      isDurable: this.#isPersistent,
      isClosed: () => this.#isClosed,
    })
    reader.send(subscription).catch((error: unknown) => {
      if (this.#isClosed) return
      failed(error, clientId)
      this.#close('store')
    })
  }

  // -------------------------------------------------------------- the end

  /** Takes the link out of the engine; its session stays. Nothing more reaches the sink. Resolves when Aedes has let go. */
  async leave(): Promise<void> {
    const { router } = this.#parts
    const { clientId } = this.options
    this.#state = 'closed'
    this.#handedIn.length = 0
    this.#outgoing.close()
    if (router.receivers.get(clientId) === this.#outgoing) router.receivers.delete(clientId)
    await this.ready
    const { generations } = this.#parts.persistence
    if (generations.get(clientId) === this.#generation) generations.delete(clientId)
    await this.#aedes?.end()
  }

  /** Tells the gate, which then detaches. */
  #close(reason: EngineClosedReason): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#handedIn.length = 0
    this.#outgoing.close()
    this.#sink.closed(reason)
  }

  /** The same client attached again, here or on another node, without that this one was detached. */
  takenOver(): void {
    this.#close('takenOver')
  }

  /** A failure of the receiver must not reach the router, which serves the others. */
  #guard(sink: EngineSink): EngineSink {
    return {
      deliver: (delivery) => {
        try {
          sink.deliver(delivery)
        } catch (error) {
          this.#parts.failed(error, this.options.clientId)
          this.#close('engine')
        }
      },
      pubrel: (packetId, reason) => sink.pubrel(packetId, reason),
      pubcomp: (packetId, reason) => sink.pubcomp(packetId, reason),
      room: () => sink.room(),
      isBlocked: () => sink.isBlocked(),
      closed: (reason) => this.#close(reason),
    }
  }
}
