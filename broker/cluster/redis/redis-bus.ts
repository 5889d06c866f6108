/**
 * The bus over Redis: routes, watches and the list of nodes are keys, doorbells are published to the channel of a node or
 * to that of all. docs/adr/0005-cluster.md has the argument, services/redis/keys.ts the keys.
 *
 * Whatever may have been lost (a lease, a connection, the data of Redis) is restored in the same order: announce, claim
 * and watch again, then tell the listener that doorbells were lost, so that it asks the store.
 */
import type { Logger } from 'pino'
import {
  type ClientId,
  type DeviceId,
  type LogId,
  parseClientId,
  type UserId,
} from '../../../protocol/ids.ts'
import type { Doorbells, FanoutQueue } from '../../../services/fanout/ports.ts'
import { Keys } from '../../../services/redis/keys.ts'
import { NodeList } from '../../../services/redis/node-list.ts'
import { PresenceKeys } from '../../../services/redis/presence.ts'
import type { RedisClient } from '../../../services/redis/redis.ts'
import { Routes } from '../../../services/redis/routes.ts'
import { endsInTime } from '../../../services/redis/stop-wait.ts'
import { Watchers } from '../../../services/redis/watchers.ts'
import type { CommitFeed } from '../../../services/store/contract.ts'
import type { NodeId, NodeInfo, NodeSide, SignalAudience } from '../bus.ts'
import { type Bus, type BusAnswer, type DeviceClaim, NodeAwayError } from '../bus.ts'
import { encodeFrame, type Frame, readFrame } from '../frame.ts'
import { type LocalNode, SILENT_SIDE } from '../local-bus.ts'
import { type BusCounters, createBusCounters } from './bus-counters.ts'
import { CommitDoorbells } from './commit-doorbells.ts'
import { DeviceClaims } from './device-claims.ts'
import { DeviceLookups } from './device-lookups.ts'
import { DoorbellBatches } from './doorbell-batches.ts'
import { GroupLookups } from './group-lookups.ts'
import { GroupWatches } from './group-watches.ts'
import { Hearing } from './hearing.ts'
import { LiveRoles } from './live-roles.ts'
import { Losses } from './losses.ts'
import { Members } from './members.ts'
import { NodeDirectory } from './node-directory.ts'
import { OwnRings } from './own-rings.ts'
import { Questions } from './questions.ts'
import { RedisPresence } from './redis-presence.ts'
import { RedisSignals } from './redis-signals.ts'
import { Restoration } from './restoration.ts'
import { RoutedDoorbells } from './routed-doorbells.ts'
import { Subscription } from './subscription.ts'
import { tellListener } from './tell-listener.ts'

const TICK_MS = 1000
const OPEN_TIMEOUT_MS = 10_000
/** What the last fan-out worker left in its streams was appended this long before its lease ended at most. */
const UNREAD_AGE_MS = 30_000
/** Routes and watches are written again, long before their life in Redis is over. */
const RENEW_MS = 6 * 3_600_000
const CLOSE_DEVICE = 'bus.closeDevice'

export type RedisBusParts = {
  client: RedisClient
  /** `redisKeyPrefix` of the configuration. */
  keyPrefix: string
  node: NodeId
  self: LocalNode
  /** Takes the doorbells of group logs. */
  fanout: FanoutQueue
  nodeLeaseMs: number
  takeoverTimeoutMs: number
  log: Pick<Logger, 'error' | 'warn' | 'info'>
}

export class RedisBus implements Bus, Doorbells {
  readonly node: NodeId
  readonly hasOthers = true
  readonly isOrdered = false
  readonly outgoing: CommitFeed
  readonly counters: BusCounters = createBusCounters()
  readonly presence: RedisPresence
  readonly #parts: RedisBusParts
  readonly #directory: NodeDirectory
  readonly #devices: DeviceLookups
  readonly #signals: RedisSignals
  readonly #members: Members
  readonly #doorbells: DoorbellBatches
  readonly #routed: RoutedDoorbells
  readonly #claims: DeviceClaims
  readonly #watches: GroupWatches
  readonly #lookups: GroupLookups
  readonly #questions: Questions
  readonly #roles: LiveRoles
  readonly #ownRings: OwnRings
  readonly #losses: Losses
  readonly #restoration: Restoration
  readonly #hearings: Hearing[]
  readonly #subscriptions: Subscription[]
  #side = SILENT_SIDE
  #ticker: NodeJS.Timeout | null = null
  #renewedAt = performance.now()
  /** The last time at which the lease was held, and all that this node has in Redis was there. */
  #wellAt = performance.now()

  constructor(parts: RedisBusParts) {
    this.#parts = parts
    const { client, self, node, fanout } = parts
    this.node = node
    const { counters } = this
    const keys = new Keys(parts.keyPrefix)
    const isReady = () => client.isReady
    const onUnsure = () => this.#wantRestoration()
    this.#restoration = new Restoration({ isReady, restore: () => this.#restore() })
    const list = new NodeList(client, keys)
    this.#directory = new NodeDirectory({ node, self, list, describe: () => this.#side.describe() })
    const routes = new Routes(client, keys)
    this.#members = new Members({
      node,
      leaseMs: parts.nodeLeaseMs,
      list,
      describe: () => this.#directory.own(),
      onGone: (gone, end) => this.#nodeGone(gone, end),
      onLeaseLost: () => this.#wantRestoration(),
    })
    this.#devices = new DeviceLookups(routes, this.#members)
    this.#roles = new LiveRoles({
      list,
      log: parts.log,
      // What stands in the streams is not read before a worker comes.
      onFanoutGone: () => this.#losses.here(performance.now() - 2 * parts.nodeLeaseMs - UNREAD_AGE_MS),
    })
    this.#doorbells = new DoorbellBatches(client, keys, node, counters)
    this.#routed = new RoutedDoorbells({
      node,
      routes,
      doorbells: this.#doorbells,
      isReady,
    })
    this.#claims = new DeviceClaims({
      node,
      counters,
      routes,
      isReady,
      time: () => this.#members.time,
      onLost: (clientId) => this.#side.listener.deviceLost(clientId),
      tellLoser: (other, clientId, order) =>
        this.#doorbells.ringWith(other, { kind: 'deviceLost', clientId, order }),
      onUnsure,
    })
    const watchers = new Watchers(client, keys)
    this.#watches = new GroupWatches({ node, watchers, isReady, lease: () => this.#members.lease, onUnsure })
    this.#lookups = new GroupLookups(watchers, this.#members)
    const ring = (other: NodeId, frame: Frame) => this.#doorbells.ringWith(other, frame)
    this.#questions = new Questions(node, ring, counters)
    this.presence = new RedisPresence({
      node,
      keys: new PresenceKeys(client, keys),
      members: this.#members,
      isReady,
      ring,
      onUnsure,
    })
    this.#signals = new RedisSignals({
      node,
      doorbells: this.#doorbells,
      routed: this.#routed,
      watchersOf: (group) => this.watchersOf(group),
      isReady,
    })
    // A dead node holds its lease for some seconds more; whoever asks it need not wait for that.
    this.#doorbells.onUnheard = (unheard) => this.#questions.nodeGone(unheard)
    this.#ownRings = new OwnRings(node, this, counters)
    this.#losses = new Losses({
      counters,
      onLoss: (ageMs) => this.#side.listener.doorbellsLost(ageMs),
      tellOthers: (since) => this.#doorbells.missed(since),
    })
    this.outgoing = new CommitDoorbells(this.#doorbells, this.#routed, (log, frame) => {
      const rings = this.#roles.isWithoutFanout && client.isReady ? this.#ownRings : fanout
      rings.append(log, frame)
    })
    const channels = [keys.doorbell(node), keys.doorbellOfAll]
    this.#hearings = channels.map(() => this.#createHearing())
    this.#subscriptions = channels.map((channel, i) => this.#createSubscription(channel, this.#hearings[i]!))
  }

  async open(side: NodeSide): Promise<void> {
    this.#side = side
    const { client } = this.#parts
    this.answer(CLOSE_DEVICE, async (params) => {
      await this.#side.listener.closeDevice((params as { clientId: ClientId }).clientId)
    })
    await client.untilReady(OPEN_TIMEOUT_MS)
    await Promise.all(this.#subscriptions.map((subscription) => subscription.open()))
    await this.#refresh()
    client.onInterrupted = () => this.#wantRestoration()
    this.#ticker = setInterval(() => void this.#tick(), TICK_MS)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ticker !== null) clearInterval(this.#ticker)
    this.#losses.close()
    this.#parts.client.onInterrupted = () => {}
    this.#restoration.close()
    this.#questions.close()
    const closed = this.#subscriptions.map((subscription) => subscription[Symbol.asyncDispose]())
    const ended = Promise.all([this.#sayGoodbye(), ...closed])
    await endsInTime(ended, 'the goodbye to the other nodes', this.#parts.log)
  }

  /** What was committed rings before. Without Redis nobody can be told, and the lease runs out. */
  async #sayGoodbye(): Promise<void> {
    await this.#routed.drain()
    await this.#claims.drain()
    this.#doorbells.flush()
    await this.#doorbells.tellAll({ kind: 'leaving' })
    await this.#members.leave().catch(() => {})
  }

  // -------------------------------------------------------------- devices

  async closeElsewhere(clientId: ClientId): Promise<void> {
    const id = parseClientId(clientId)
    if (id === undefined || !this.#parts.client.isReady) return
    const holder = await this.#devices.holderOf(id.uid, id.deviceId)
    if (holder === undefined || holder === this.node) return
    const timeoutMs = this.#parts.takeoverTimeoutMs
    await this.ask(holder, CLOSE_DEVICE, { clientId }, timeoutMs).catch((error) => {
      // The store has fenced what that connection still does; waiting longer would only keep this one out.
      if (!(error instanceof NodeAwayError))
        this.#parts.log.warn({ err: error }, 'a takeover was not answered')
    })
  }

  claim(claim: DeviceClaim): Promise<'held' | 'lost'> {
    return this.#claims.claim(claim)
  }

  release(claim: DeviceClaim): void {
    this.#claims.release(claim)
  }

  watch(group: LogId): Promise<void> {
    return this.#watches.watch(group)
  }

  unwatch(group: LogId): void {
    this.#watches.unwatch(group)
  }

  // -------------------------------------------------------------- nodes

  nodes(): Promise<NodeInfo[]> {
    return this.#directory.all()
  }

  async devicesOf(uid: UserId): Promise<{ device: DeviceId; node: NodeId }[]> {
    const [devices] = await this.devicesOfMany([uid])
    return devices!
  }

  /** Where the devices of many users are connected, in the order asked; of a user whose shard does not answer, none. */
  devicesOfMany(uids: readonly UserId[]): Promise<{ device: DeviceId; node: NodeId }[][]> {
    return this.#devices.ofMany(uids)
  }

  ask(node: NodeId, question: string, params: unknown, timeoutMs?: number): Promise<unknown> {
    return this.#questions.ask(node, question, params, timeoutMs)
  }

  answer(question: string, answer: BusAnswer): void {
    this.#questions.answer(question, answer)
  }

  sendPlain(frame: Buffer, uid: UserId | null): void {
    const packed = encodeFrame({ kind: 'plain', bytes: frame })
    if (uid === null) this.#doorbells.ringAll(packed)
    else this.#routed.ring((writer) => writer.raw(packed, 0, packed.length), uid, null)
  }

  signal(audience: SignalAudience, frame: Buffer): void {
    this.#signals.signal(audience, frame)
  }

  get signals() {
    return this.#signals.counters
  }

  // -------------------------------------------------------------- for the fan-out

  ring(nodes: readonly NodeId[], frame: Buffer): void {
    for (const node of nodes) {
      if (node === this.node) this.#hearOwn(frame)
      else this.#doorbells.ring(node, frame)
    }
  }

  broadcast(frame: Buffer): void {
    this.#hearOwn(frame)
    this.#doorbells.ringAll(frame)
  }

  watchersOf(group: LogId): Promise<NodeId[]> {
    return this.#lookups.watchersOf(group)
  }

  /** How many live nodes have a role, as of the last announcement. */
  nodesOf(role: string): number {
    return this.#roles.count(role)
  }

  /** No live node reads the streams of the fan-out, and each rings groups itself. */
  get isWithoutFanout(): boolean {
    return this.#roles.isWithoutFanout
  }

  /** Devices whose routes this node has, and groups that it watches. */
  get held(): { claims: number; watches: number } {
    return { claims: this.#claims.size, watches: this.#watches.size }
  }

  liveNodes(): readonly NodeId[] {
    return [...this.#members.live]
  }

  lost(ageMs: number): void {
    this.#losses.everywhere(performance.now() - ageMs)
  }

  // -------------------------------------------------------------- what is heard

  #createSubscription(channel: string, hearing: Hearing): Subscription {
    return new Subscription({
      client: this.#parts.client,
      channel,
      name: this.node,
      onMessage: (message) => hearing.hear(message),
      onHole: (since) => this.#losses.here(since),
    })
  }

  #createHearing(): Hearing {
    return new Hearing({
      node: this.node,
      counters: this.counters,
      onFrame: (frame, sender) => this.#heard(frame, sender),
      onHole: (since) => this.#losses.here(since),
      onFailure: (error) => this.#parts.log.error({ err: error }, 'a doorbell could not be read or handled'),
    })
  }

  #hearOwn(bytes: Buffer): void {
    const frame = readFrame(bytes, 0, bytes.length)
    if (frame !== null) this.#heard(frame, this.node)
  }

  #heard(frame: Frame, sender: NodeId): void {
    if (tellListener(this.#side.listener, frame, sender)) return
    switch (frame.kind) {
      case 'deviceLost':
        this.#claims.lostTo(frame.clientId, frame.order)
        return
      case 'question':
        void this.#questions.asked(frame, sender)
        return
      case 'answer':
        this.#questions.answered(frame, sender)
        return
      case 'leaving':
        this.#members.saidGoodbye(sender)
        return
      case 'lost':
        this.#losses.here(performance.now() - frame.ageMs)
        return
    }
  }

  // -------------------------------------------------------------- what may be lost

  async #tick(): Promise<void> {
    const { isLive } = this.#members
    this.#doorbells.tick(isLive)
    for (const hearing of this.#hearings) hearing.tick(isLive)
    this.#watches.tick()
    if (performance.now() - this.#renewedAt > RENEW_MS) {
      this.#renewedAt = performance.now()
      this.#restoration.want()
    }
    // While Redis is away, the next tick tries again; the client says that it is away.
    if (this.#parts.client.isReady) await this.#refresh().catch(() => {})
    await this.#restoration.run()
  }

  async #refresh(): Promise<void> {
    const at = performance.now()
    await this.#members.refresh()
    if (this.#restoration.isDone) this.#wellAt = at
    // A list that is not settled misses nodes that live.
    if (this.#members.isSettled) await this.#roles.refresh(this.#members.live)
  }

  #wantRestoration(): void {
    this.#restoration.want()
    if (this.#ticker !== null) void this.#restoration.run()
  }

  async #restore(): Promise<boolean> {
    // A lease that was lost is known before anything is claimed or watched under it.
    await this.#members.refreshFromNow()
    const isComplete =
      (await this.#claims.restore()) && (await this.#watches.restore()) && (await this.presence.restore())
    this.#losses.here(this.#wellAt)
    return isComplete
  }

  #nodeGone(node: NodeId, { died, rangUntil }: { died: boolean; rangUntil: number }): void {
    this.#questions.nodeGone(node)
    if (died) this.#losses.here(rangUntil)
    this.#side.listener.nodeGone(node)
  }
}
