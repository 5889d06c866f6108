/**
 * Plain MQTT: own spaces, application topics, retained messages, wills, QoS 0 to 2 and persistent sessions.
 *
 * Promises:
 * - **Durable.** A message that is decided without a refusal is on disk for every persistent session that it must
 *   reach, and as the retained message of its topic; all of it in one commit.
 * - **Ordered.** A persistent session gets its messages in the order in which they were published, those that
 *   waited before new ones. Messages of one publisher are routed in the order in which they were handed in.
 * - **Once.** A QoS 2 message is routed once and delivered once, over reconnects and restarts.
 * - **Alone.** A client that does not read costs memory up to a bound, then its own connection, and nobody else anything.
 *
 * A session is ended by the gate ({@link Engine.endSession}), never by time; in the open test profile by the engine.
 *
 * In a cluster each node has an engine, all around one store. The promises hold across them, but for what no queue
 * holds (QoS 0, sessions that end with the connection): that reaches other nodes at most once.
 * docs/adr/0006-plain-topics-in-a-cluster.md has the argument.
 */
import type { Logger } from 'pino'
import type { PlainStore } from '../../services/store/plain.ts'
import type { PlainCarrier } from './cluster-emitter.ts'
import { type AttachOptions, EngineLink } from './link.ts'
import type { Publication } from './packet.ts'
import { RoutingPersistence } from './persistence.ts'
import { Router } from './router.ts'
import { Settlements } from './settlements.ts'
import { mayUseTopic } from './topic-wall.ts'
import { type WillRef, Wills } from './wills.ts'

export type { PlainCarrier } from './cluster-emitter.ts'
export type { AttachOptions, EngineLink } from './link.ts'
export type { Publication } from './packet.ts'
export type { EngineClosedReason, EngineDelivery, EngineSink } from './sink.ts'

export type EngineSettings = {
  /** Messages that may wait for one session in the store; more are not kept for it, and counted. */
  queuedMessagesMax: number
  /** Memory for what waits for one connection and is in no queue; above it the connection is cut as slow. */
  waitingBytesMax: number
  /** QoS 2 messages of one client between PUBLISH and PUBREL; more are refused. */
  halfOpenMax: number
  /** Subscriptions of one session. */
  subscriptionsMax: number
  /** Memory for the names of retained topics; a new topic above it is refused. */
  retainedIndexBytesMax: number
}

/** A session of the open profile that lives longer is not ended by time: setTimeout takes no more than 24 days. */
const EXPIRY_SECONDS_MAX = 24 * 86_400

/** Figures of the engine: now, or since the start. */
type EngineMetrics = {
  readonly attached: number
  /** Messages that clients published. */
  readonly publications: number
  /** Messages that wait for the store or for those before them. */
  readonly publishing: number
  /** Messages that a session did not get because its queue was full. */
  readonly dropped: number
  readonly delayedWills: number
}

type Detach = {
  /** The connection was lost, or the client asked for it. */
  publishWill: boolean
  /** As a DISCONNECT may have changed it. */
  sessionExpirySeconds?: number
}

type EngineParts = {
  store: PlainStore
  log: Logger
  settings: EngineSettings
  /** Of a cluster: to the engines of the other nodes around the same store. */
  bus?: PlainCarrier
}

export class Engine {
  readonly #store: PlainStore
  readonly #log: Logger
  readonly #settings: EngineSettings
  readonly #persistence: RoutingPersistence
  readonly #router: Router
  readonly #wills: Wills
  readonly #settlements: Settlements
  readonly #links = new Map<string, EngineLink>()
  /** Ends of sessions by time, in the open profile. */
  readonly #expiries = new Map<string, NodeJS.Timeout>()
  /** What is still being done for a client; the next thing waits for it. */
  readonly #turns = new Map<string, Promise<void>>()

  static async create(parts: EngineParts): Promise<Engine> {
    const engine = new Engine(parts.store, parts.log, parts.settings, parts.bus ?? null)
    await engine.#router.listen()
    await engine.#wills.load()
    return engine
  }

  private constructor(store: PlainStore, log: Logger, settings: EngineSettings, bus: PlainCarrier | null) {
    const isShared = bus !== null
    this.#store = store
    this.#log = log
    this.#settings = settings
    this.#persistence = new RoutingPersistence(store, {
      queuedMax: settings.queuedMessagesMax,
      retainedIndexBytesMax: settings.retainedIndexBytesMax,
      isShared,
    })
    this.#persistence.onMoved = (clientId) => this.#links.get(clientId)?.takenOver()
    this.#router = new Router(this.#persistence, bus)
    this.#router.on('clientError', (_client, error) =>
      log.warn({ err: error }, 'the engine dropped a connection'),
    )
    // Without a listener an error event would end the process. Its types do not know the event.
    const emitter: NodeJS.EventEmitter = this.#router
    emitter.on('error', (error: Error) => log.error({ err: error }, 'the engine failed'))
    this.#wills = new Wills({
      store,
      node: bus?.node ?? null,
      publish: (publication, will) => this.#publishWill(publication, will),
      failed: (error) => log.warn({ err: error }, 'a will could not be published; it stays in the store'),
    })
    this.#settlements = new Settlements(store, !isShared, (error) =>
      log.warn({ err: error }, 'acknowledged messages stay queued'),
    )
  }

  get metrics(): EngineMetrics {
    return {
      attached: this.#links.size,
      publications: this.#router.publications,
      publishing: this.#router.waiting,
      dropped: this.#persistence.dropped,
      delayedWills: this.#wills.delayed,
    }
  }

  /** Whether a session of this client is stored. */
  hasSession(clientId: string): boolean {
    return this.#persistence.sessions.has(clientId)
  }

  /**
   * A client connected, whether or not it attaches. With `cleanStart` what its session held is gone, and the will whose
   * delay runs is published; else that will is not.
   */
  connected(clientId: string, cleanStart: boolean): void {
    if (!this.#knows(clientId)) return
    clearTimeout(this.#expiries.get(clientId))
    this.#expiries.delete(clientId)
    void this.#inTurn(clientId, async () => {
      if (cleanStart) await this.#end(clientId, null)
      else if (!this.#links.has(clientId)) await this.#wills.connected(clientId, undefined, 0)
    })
  }

  /**
   * Brings a connection into the engine; returns at once, and what is handed in meanwhile waits. Attach once per
   * connection, and detach at its end.
   */
  attach(options: AttachOptions): EngineLink {
    const { clientId } = options
    const earlier = this.#links.get(clientId)
    if (earlier !== undefined) {
      earlier.takenOver()
      void this.detach(earlier, { publishWill: true })
    }
    const link = new EngineLink(
      {
        router: this.#router,
        persistence: this.#persistence,
        store: this.#store,
        wills: this.#wills,
        bounds: {
          receiptsMax: this.#settings.halfOpenMax,
          waitingBytesMax: this.#settings.waitingBytesMax,
          subscriptionsMax: this.#settings.subscriptionsMax,
        },
        settle: (settled) => this.#settlements.add(settled),
        failed: (error, id) => this.#log.error({ err: error, clientId: id }, 'an attached connection failed'),
        earlier: this.#turns.get(clientId) ?? Promise.resolve(),
      },
      options,
    )
    this.#links.set(clientId, link)
    return link
  }

  /** Takes a connection out. Its session stays unless it ends with the connection. Resolves when all is on disk. */
  detach(
    link: EngineLink,
    { publishWill, sessionExpirySeconds = link.options.sessionExpirySeconds }: Detach,
  ): Promise<void> {
    const { clientId, will } = link.options
    if (this.#links.get(clientId) === link) this.#links.delete(clientId)
    const settled = this.#settlements.flush()
    const left = link.leave()
    return this.#inTurn(clientId, async () => {
      await left
      await settled
      if (will !== undefined && !publishWill) await this.#wills.drop(clientId)
      else if (will !== undefined) await this.#wills.release(clientId, sessionExpirySeconds)
      if (sessionExpirySeconds === 0) await this.#end(clientId, link.generation)
      else if (link.options.endsByTime === true) {
        this.#endLater(clientId, link.generation, sessionExpirySeconds)
      }
    })
  }

  #endLater(clientId: string, generation: number | null, seconds: number): void {
    if (seconds > EXPIRY_SECONDS_MAX) return
    const timer = setTimeout(() => {
      this.#expiries.delete(clientId)
      void this.#inTurn(clientId, async () => {
        if (!this.#links.has(clientId)) await this.#end(clientId, generation)
      })
    }, seconds * 1000)
    this.#expiries.set(clientId, timer.unref())
  }

  /**
   * Ends a session: its subscriptions and what waits for it; a delayed will is published. Of a client that is attached
   * nothing is ended: it came back after its session was over.
   */
  endSession(clientId: string): Promise<void> {
    return this.#inTurn(clientId, async () => {
      if (!this.#links.has(clientId)) await this.#end(clientId, null)
    })
  }

  // -------------------------------------------------------------- other nodes

  /** A message of another node's engine, as its {@link PlainCarrier} was given it. */
  plainReceived(frame: Buffer): void {
    if (!this.#router.receive(frame)) this.#log.warn('a plain message of another node cannot be read')
  }

  /** Messages of other nodes may have been lost until now: what waits for stored sessions is read from their queues. */
  doorbellsLost(): void {
    for (const receiver of this.#router.receivers.values()) receiver.rung()
  }

  /** A node is gone for good, and so are its clients: one of those that live publishes their wills, after their delay. */
  async nodeGone(node: string): Promise<void> {
    await this.#store.releasePlainWills({ holder: node })
  }

  /** All nodes that live, as of a moment at which each must have been heard: the wills of others are released. */
  async nodesAlive(nodes: readonly string[]): Promise<void> {
    if (!this.#persistence.isShared) return
    for (const holder of await this.#store.plainWillHolders()) {
      if (!nodes.includes(holder)) await this.nodeGone(holder)
    }
  }

  /** Call after every link is detached, before the store closes. */
  async close(): Promise<void> {
    for (const link of [...this.#links.values()]) void this.detach(link, { publishWill: true })
    await Promise.all(this.#turns.values())
    for (const timer of this.#expiries.values()) clearTimeout(timer)
    this.#wills.close()
    await this.#settlements.close()
    await new Promise<void>((resolve) => this.#router.close(() => resolve()))
  }

  #knows(clientId: string): boolean {
    return (
      this.#turns.has(clientId) ||
      this.#links.has(clientId) ||
      this.#persistence.sessions.has(clientId) ||
      this.#wills.isDelayed(clientId)
    )
  }

  /** In a cluster a session is ended by whoever holds it (`generation`), or with the gate's part of it, in one commit. */
  async #end(clientId: string, generation: number | null): Promise<void> {
    if (!this.#persistence.isShared) await this.#persistence.cleanSubscriptions({ id: clientId })
    else if (generation !== null) await this.#persistence.endSession(clientId, generation)
    await this.#wills.sessionEnded(clientId)
  }

  /** Runs steps of one client one after the other; a failure is logged, and the next step runs. */
  #inTurn(clientId: string, step: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(clientId) ?? Promise.resolve()).then(step).catch((error: unknown) => {
      this.#log.error({ err: error, clientId }, 'a session of the engine could not be changed')
    })
    this.#turns.set(clientId, turn)
    return turn.then(() => {
      if (this.#turns.get(clientId) === turn) this.#turns.delete(clientId)
    })
  }

  #publishWill(publication: Publication, will: WillRef): Promise<void> {
    const { clientId } = will
    if (!mayUseTopic(clientId, publication.topic)) return this.#store.dropPlainWill(will)
    return new Promise((resolve, reject) => {
      this.#router.route(publication, clientId, { will }, (refusal) =>
        refusal === null ? resolve() : reject(refusal),
      )
    })
  }
}

/** Opens the engine on a store: reads sessions and retained topics, and publishes the wills that a crash left. */
export function createEngine(parts: EngineParts): Promise<Engine> {
  return Engine.create(parts)
}
