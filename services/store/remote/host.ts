/**
 * The store, shown to workers over their channels: it takes their sends and calls in the order in which they come, and
 * tells every worker of every commit, in the order of commits.
 *
 * A worker hears of a commit before the answer of any call that was handed to the store later. So feed and answers
 * take turns: before an answer leaves, what the feed said before it has left to all.
 */
import { deserialize, serialize } from 'node:v8'
import { asWochatError, WochatError } from '../../../protocol/errors.ts'
import { type DeviceId, type LogId, peerOf, type UserId } from '../../../protocol/ids.ts'
import type { SendMarks } from '../../../protocol/message-types.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { CommitFeed, CommittedEntry, OpenedSession, SendJob, Store } from '../contract.ts'
import { type PackedSend, readSends } from '../sqlite/send-batch.ts'
import type { Channel } from './channel.ts'
import { FeedPacker } from './feed-packing.ts'
import { encodeFrame, encodeValue, type Frame } from './frame.ts'
import { type HeldSession, HeldSessions } from './held-sessions.ts'
import {
  BATCH,
  type CallMessage,
  type CallResult,
  DECISIONS,
  HEALTH,
  RESULTS,
  type Refusal,
} from './messages.ts'

/** Sessions of a dead worker that are left in one turn, so that the living are served between them. */
const LEAVE_BATCH = 200

export type StoreHostSettings = {
  /** How long a session of a worker that died waits for its device, ms. */
  orphanExpiryMs: number
  /** A session could not be left; the next start of the server does. */
  onError: (error: unknown) => void
}

/** Set it as the store's feed. */
export class StoreHost implements CommitFeed {
  readonly store: Store
  readonly #settings: StoreHostSettings
  readonly #workers = new Set<HostedWorker>()
  readonly #feed = new FeedPacker()
  /** Workers with answers that the feed must not overtake. */
  readonly #answered = new Set<HostedWorker>()
  #isScheduled = false

  constructor(store: Store, settings: StoreHostSettings) {
    this.store = store
    this.#settings = settings
  }

  /** Serves a worker from now on; what it had open is left when its channel closes and `detach` is called. */
  attach(channel: Channel): HostedWorker {
    const worker = new HostedWorker(this, channel)
    this.#workers.add(worker)
    return worker
  }

  /** The worker is gone: its sessions wait for their devices, or end in time. Resolves when the store knows. */
  async detach(worker: HostedWorker): Promise<void> {
    this.#workers.delete(worker)
    this.#answered.delete(worker)
    const orphans = worker.close()
    for (let i = 0; i < orphans.length; i += LEAVE_BATCH) {
      await Promise.all(orphans.slice(i, i + LEAVE_BATCH).map((orphan) => this.leave(orphan)))
    }
  }

  async leave(orphan: HeldSession): Promise<void> {
    try {
      const expiresAt = Date.now() + this.#settings.orphanExpiryMs
      await this.store.closeSession({ ...orphan, expiresAt })
    } catch (error) {
      this.#settings.onError(error)
    }
  }

  // -------------------------------------------------------------- feed

  entryCommitted(entry: CommittedEntry): void {
    if (this.#beforeFeed(entry)) this.#feed.entry(entry)
  }

  logGrew(log: LogId, epoch: string, head: number): void {
    if (this.#beforeFeed(null)) this.#feed.grew(log, epoch, head)
  }

  memberJoined(log: LogId, uid: UserId, fromSeq: number): void {
    if (this.#beforeFeed(null)) this.#feed.joined(log, uid, fromSeq)
  }

  memberLeft(log: LogId, uid: UserId, toSeq: number): void {
    if (this.#beforeFeed(null)) this.#feed.left(log, uid, toSeq)
  }

  readMoved(uid: UserId, log: LogId, seq: number): void {
    if (this.#beforeFeed(null)) this.#feed.read(uid, log, seq)
  }

  stateChanged(uid: UserId, scope: ChangeScope, version: number): void {
    if (this.#beforeFeed(null)) this.#feed.changed(uid, scope, version)
  }

  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    if (this.#beforeFeed(null)) this.#feed.loginEnded(uid, device, sid)
  }

  #beforeFeed(entry: CommittedEntry | null): boolean {
    if (this.#workers.size === 0) return false
    if (this.#answered.size > 0) this.#flushAnswers()
    if (!this.#feed.hasRoom(entry)) this.#flushFeed()
    this.#schedule()
    return true
  }

  // -------------------------------------------------------------- answers

  /** An answer to a call of this worker is about to be added. */
  beforeAnswer(worker: HostedWorker): void {
    if (!this.#feed.isEmpty) this.#flushFeed()
    this.#answered.add(worker)
    this.#schedule()
  }

  /** A decided send of this worker is about to be added; it leaves after what the feed says of the same turn. */
  beforeDecision(worker: HostedWorker): void {
    if (this.#answered.has(worker)) this.#flushAnswers()
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#flushFeed()
      for (const worker of this.#workers) worker.flushDecisions()
      this.#flushAnswers()
    })
  }

  #flushFeed(): void {
    if (this.#feed.isEmpty) return
    const frame = this.#feed.take()
    for (const worker of this.#workers) worker.write(frame)
  }

  #flushAnswers(): void {
    for (const worker of this.#answered) worker.flushResults()
    this.#answered.clear()
  }
}

/** One worker's end. */
export class HostedWorker {
  readonly #host: StoreHost
  readonly #channel: Channel
  readonly #sessions = new HeldSessions()
  #nextSend = 0
  #decisions: number[] = []
  #refusals: Refusal[] = []
  #results: CallResult[] = []
  #isClosed = false

  constructor(host: StoreHost, channel: Channel) {
    this.#host = host
    this.#channel = channel
    channel.on(BATCH, (frame) => this.#onBatch(frame))
  }

  close(): HeldSession[] {
    this.#isClosed = true
    return this.#sessions.takeAll()
  }

  write(frame: Buffer): void {
    this.#channel.write(frame)
  }

  #onBatch({ numbers, text, bytes }: Frame): boolean {
    const sends = numbers.length === 0 ? [] : readSends(text, Uint32Array.from(numbers))
    const calls = bytes.length === 0 ? [] : (deserialize(bytes) as CallMessage[])
    let next = 0
    for (const call of calls) {
      while (next < call.before) this.#send(sends[next++]!)
      void this.#call(call)
    }
    while (next < sends.length) this.#send(sends[next++]!)
    return false
  }

  #send(send: PackedSend): void {
    this.#host.store.send(new HostedSend(this, this.#nextSend++, send))
  }

  accepted(n: number, seq: number, at: number): void {
    if (this.#isClosed) return
    this.#host.beforeDecision(this)
    this.#decisions.push(n, seq, at)
  }

  refused(n: number, error: WochatError): void {
    if (this.#isClosed) return
    this.#host.beforeDecision(this)
    this.#decisions.push(n, 0, 0)
    const { cause } = error
    this.#refusals.push({ body: error.toWire(), ...(cause !== undefined && { cause: String(cause) }) })
  }

  async #call({ id, op, input }: CallMessage): Promise<void> {
    let result: CallResult
    try {
      const value = await this.#run(op, input)
      this.#noteSession(op, input, value)
      result = { id, value }
    } catch (error) {
      result =
        error instanceof WochatError
          ? { id, refused: error.toWire() }
          : { id, failed: String(asWochatError(error).cause ?? error) }
    }
    if (this.#isClosed) return
    this.#host.beforeAnswer(this)
    this.#results.push(result)
  }

  #run(op: string, input: unknown): Promise<unknown> {
    const { store } = this.#host
    if (op === HEALTH) return store.health()
    // Sessions of a worker that died are left by `detach`; those of the others are theirs.
    if (op === 'adoptSessions') return Promise.resolve()
    return (store[op as keyof Store] as (input: unknown) => Promise<unknown>)(input)
  }

  #noteSession(op: string, input: unknown, value: unknown): void {
    if (op === 'openSession') {
      const { clientId } = input as Parameters<Store['openSession']>[0]
      this.#sessions.opened(clientId, value as OpenedSession)
      // It died while the store opened the session.
      if (this.#isClosed) for (const orphan of this.#sessions.takeAll()) void this.#host.leave(orphan)
    } else if (op === 'closeSession') {
      const { session, generation } = input as Parameters<Store['closeSession']>[0]
      this.#sessions.closed(session, generation)
    }
  }

  flushDecisions(): void {
    if (this.#decisions.length === 0) return
    const refusals = this.#refusals.length === 0 ? new Uint8Array(0) : serialize(this.#refusals)
    this.write(encodeFrame(DECISIONS, Float64Array.from(this.#decisions), '', refusals))
    this.#decisions = []
    this.#refusals = []
  }

  flushResults(): void {
    this.flushDecisions()
    if (this.#results.length === 0) return
    this.write(encodeValue(RESULTS, this.#results))
    this.#results = []
  }
}

class HostedSend implements SendJob {
  readonly uid: UserId
  readonly device: DeviceId | null
  readonly id: string | null
  readonly log: LogId
  readonly type: string
  readonly bodyJson: string
  readonly marks: SendMarks | null
  readonly #worker: HostedWorker
  readonly #n: number

  constructor(worker: HostedWorker, n: number, send: PackedSend) {
    const { uid, device, id, log, type, bodyJson, marks } = send
    this.#worker = worker
    this.#n = n
    this.uid = uid
    this.device = device
    this.id = id
    this.log = log
    this.type = type
    this.bodyJson = bodyJson
    this.marks = marks
  }

  get peer(): UserId | null {
    return peerOf(this.log, this.uid)
  }

  accepted(seq: number, at: number): void {
    this.#worker.accepted(this.#n, seq, at)
  }

  refused(error: WochatError): void {
    this.#worker.refused(this.#n, error)
  }
}
