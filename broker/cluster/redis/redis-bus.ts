/**
 * The bus over Redis: routes, watches and the list of nodes are keys, doorbells are published to the channel of a node or
 * to that of all. docs/adr/0005-cluster.md has the argument, services/redis/keys.ts the keys.
 *
 * Here its parts are put together, and what other nodes say is given to the one whom it concerns.
 */
import type { Logger } from 'pino'
import {
  type ClientId,
  type DeviceId,
  type LogId,
  parseClientId,
  type UserId,
} from '../../../protocol/ids.ts'
import type { FanoutQueue } from '../../../services/fanout/ports.ts'
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
import { encodeFrame, type Frame } from '../frame.ts'
import { type LocalNode, SILENT_SIDE } from '../local-bus.ts'
import { type BusCounters, createBusCounters } from './bus-counters.ts'
import { CommitDoorbells } from './commit-doorbells.ts'
import { DeviceClaims } from './device-claims.ts'
import { DeviceLookups } from './device-lookups.ts'
import { DoorbellBatches } from './doorbell-batches.ts'
import { FanoutDoorbells } from './fanout-doorbells.ts'
import { GroupLookups } from './group-lookups.ts'
import { GroupWatches } from './group-watches.ts'
import { Listening } from './listening.ts'
import { LiveRoles } from './live-roles.ts'
import { Losses } from './losses.ts'
import { Members } from './members.ts'
import { NodeDirectory } from './node-directory.ts'
import { OwnRings } from './own-rings.ts'
import { Questions } from './questions.ts'
import { Recovery } from './recovery.ts'
import { RedisPresence } from './redis-presence.ts'
import { RedisSignals } from './redis-signals.ts'
import { RoutedDoorbells } from './routed-doorbells.ts'
import { tellListener } from './tell-listener.ts'

const OPEN_TIMEOUT_MS = 10_000
/** What the last fan-out worker left in its streams was appended this long before its lease ended at most. */
const UNREAD_AGE_MS = 30_000
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

export class RedisBus implements Bus {
  readonly node: NodeId
  readonly hasOthers = true
  readonly isOrdered = false
  readonly outgoing: CommitFeed
  readonly counters: BusCounters = createBusCounters()
  readonly presence: RedisPresence
  /** For the fan-out. */
  readonly doorbells: FanoutDoorbells
  readonly #parts: RedisBusParts
  readonly #isReady: () => boolean
  readonly #recovery: Recovery
  readonly #directory: NodeDirectory
  readonly #members: Members
  readonly #roles: LiveRoles
  readonly #losses: Losses
  readonly #listening: Listening
  readonly #batches: DoorbellBatches
  readonly #routed: RoutedDoorbells
  readonly #devices: DeviceLookups
  readonly #claims: DeviceClaims
  readonly #lookups: GroupLookups
  readonly #watches: GroupWatches
  readonly #questions: Questions
  readonly #signals: RedisSignals
  #side = SILENT_SIDE

  constructor(parts: RedisBusParts) {
    this.#parts = parts
    const { client, self, node } = parts
    const { counters } = this
    this.node = node
    const isReady = () => client.isReady
    this.#isReady = isReady
    const onUnsure = () => this.#recovery.want()
    this.#recovery = new Recovery(isReady)
    const keys = new Keys(parts.keyPrefix)
    const list = new NodeList(client, keys)
    const routes = new Routes(client, keys)
    const watchers = new Watchers(client, keys)

    // Who lives.
    this.#directory = new NodeDirectory({ node, self, list, describe: () => this.#side.describe() })
    this.#members = this.#createMembers(list)
    const members = this.#members
    this.#roles = this.#createRoles(list)

    // What is said and heard.
    this.#batches = new DoorbellBatches(client, keys, node, counters)
    const batches = this.#batches
    const ring = (other: NodeId, frame: Frame) => batches.ringWith(other, frame)
    this.#routed = new RoutedDoorbells({ node, routes, doorbells: batches, isReady })
    this.#losses = new Losses({
      counters,
      onLoss: (ageMs) => this.#side.listener.doorbellsLost(ageMs),
      tellOthers: (since) => batches.missed(since),
    })
    this.#listening = this.#createListening([keys.doorbell(node), keys.doorbellOfAll])
    this.#questions = new Questions(node, ring, counters)
    // A dead node holds its lease for some seconds more; whoever asks it need not wait for that.
    batches.onUnheard = (unheard) => this.#questions.nodeGone(unheard)

    // Where devices and groups are.
    this.#devices = new DeviceLookups(routes, members)
    this.#claims = this.#createClaims(routes, ring)
    this.#lookups = new GroupLookups(watchers, members)
    this.#watches = new GroupWatches({ node, watchers, isReady, lease: () => members.lease, onUnsure })
    const presenceKeys = new PresenceKeys(client, keys)
    this.presence = new RedisPresence({ node, keys: presenceKeys, members, isReady, ring, onUnsure })

    // What this node brings about.
    this.doorbells = new FanoutDoorbells({
      node,
      batches,
      lookups: this.#lookups,
      members,
      losses: this.#losses,
      listening: this.#listening,
    })
    this.outgoing = this.#createOutgoing()
    this.#signals = new RedisSignals({
      node,
      doorbells: batches,
      routed: this.#routed,
      watchersOf: (group) => this.#lookups.watchersOf(group),
      isReady,
    })
  }

  #createMembers(list: NodeList): Members {
    return new Members({
      node: this.node,
      leaseMs: this.#parts.nodeLeaseMs,
      list,
      describe: () => this.#directory.own(),
      onGone: (gone, end) => this.#nodeGone(gone, end),
      onLeaseLost: () => this.#recovery.want(),
    })
  }

  #createRoles(list: NodeList): LiveRoles {
    const { log, nodeLeaseMs } = this.#parts
    return new LiveRoles({
      list,
      log,
      // What stands in the streams is not read before a worker comes.
      onFanoutGone: () => this.#losses.here(performance.now() - 2 * nodeLeaseMs - UNREAD_AGE_MS),
    })
  }

  #createListening(channels: readonly string[]): Listening {
    const { node, client, log } = this.#parts
    return new Listening({
      node,
      client,
      channels,
      log,
      counters: this.counters,
      onFrame: (frame, sender) => this.#heard(frame, sender),
      onHole: (since) => this.#losses.here(since),
    })
  }

  #createClaims(routes: Routes, ring: (node: NodeId, frame: Frame) => void): DeviceClaims {
    return new DeviceClaims({
      node: this.node,
      counters: this.counters,
      routes,
      isReady: this.#isReady,
      time: () => this.#members.time,
      onLost: (clientId) => this.#side.listener.deviceLost(clientId),
      tellLoser: (other, clientId, order) => ring(other, { kind: 'deviceLost', clientId, order }),
      onUnsure: () => this.#recovery.want(),
    })
  }

  #createOutgoing(): CommitFeed {
    const ownRings = new OwnRings(this.node, this.doorbells, this.counters)
    return new CommitDoorbells(this.#batches, this.#routed, (log, frame) => {
      const rings = this.#roles.isWithoutFanout && this.#isReady() ? ownRings : this.#parts.fanout
      rings.append(log, frame)
    })
  }

  async open(side: NodeSide): Promise<void> {
    this.#side = side
    const { client } = this.#parts
    this.answer(CLOSE_DEVICE, async (params) => {
      await this.#side.listener.closeDevice((params as { clientId: ClientId }).clientId)
    })
    await client.untilReady(OPEN_TIMEOUT_MS)
    await this.#listening.open()
    await this.#recovery.begin({
      members: this.#members,
      roles: this.#roles,
      losses: this.#losses,
      restored: [this.#claims, this.#watches, this.presence],
      onTick: () => this.#tick(),
    })
    client.onInterrupted = () => this.#recovery.want()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#recovery.close()
    this.#losses.close()
    this.#parts.client.onInterrupted = () => {}
    this.#questions.close()
    const ended = Promise.all([this.#sayGoodbye(), this.#listening[Symbol.asyncDispose]()])
    await endsInTime(ended, 'the goodbye to the other nodes', this.#parts.log)
  }

  /** What was committed rings before. Without Redis nobody can be told, and the lease runs out. */
  async #sayGoodbye(): Promise<void> {
    await this.#routed.drain()
    await this.#claims.drain()
    this.#batches.flush()
    await this.#batches.tellAll({ kind: 'leaving' })
    await this.#members.leave().catch(() => {})
  }

  // -------------------------------------------------------------- devices

  async closeElsewhere(clientId: ClientId): Promise<void> {
    const id = parseClientId(clientId)
    if (id === undefined || !this.#isReady()) return
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
    if (uid === null) this.#batches.ringAll(packed)
    else this.#routed.ring((writer) => writer.raw(packed, 0, packed.length), uid, null)
  }

  signal(audience: SignalAudience, frame: Buffer): void {
    this.#signals.signal(audience, frame)
  }

  get signals() {
    return this.#signals.counters
  }

  // -------------------------------------------------------------- figures

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

  // -------------------------------------------------------------- what is heard

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

  #tick(): void {
    const { isLive } = this.#members
    this.#batches.tick(isLive)
    this.#listening.tick(isLive)
    this.#watches.tick()
  }

  #nodeGone(node: NodeId, { died, rangUntil }: { died: boolean; rangUntil: number }): void {
    this.#questions.nodeGone(node)
    if (died) this.#losses.here(rangUntil)
    this.#side.listener.nodeGone(node)
  }
}
