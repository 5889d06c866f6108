/**
 * The bus between the nodes of a cluster: which node holds which device, and doorbells. It carries hints only; the
 * store has the truth, and what the bus loses is caught up from there. docs/adr/0005-cluster.md has the argument.
 *
 * Three implementations: none at all (one process, {@link LocalBus}), processes of one machine around one store
 * (`workers/`), and Redis (`redis/`).
 */
import { randomUUID } from 'node:crypto'
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { PresenceBoard, PresencePart } from '../../services/presence/ports.ts'
import type { CommitFeed } from '../../services/store/contract.ts'

/** One life of one process; a restarted node is another one. */
export type NodeId = string

/** Of a life that begins now. It stands in keys and in lines of routes. */
export function newNodeId(name: string): NodeId {
  return `${name.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 64)}.${randomUUID().slice(0, 8)}`
}

/** A connection that holds a device. */
export type DeviceClaim = {
  clientId: ClientId
  uid: UserId
  device: DeviceId
  /** The store's session; of two claims to one session the higher generation holds it. Null for a clean session. */
  session: number | null
  generation: number
  /** Place among the claims to this device, where generations do not decide; 0 until {@link Bus.claim} has set it. */
  order: number
}

export type NodeState = 'starting' | 'ready' | 'draining' | 'stopping'

/** How a node announces itself, once a second. */
export type NodeInfo = {
  id: NodeId
  /** As configured; the same over restarts. */
  name: string
  version: string
  roles: readonly string[]
  state: NodeState
  /** ms since 1970. */
  startedAt: number
  /** Of the admin port; null when it listens on loopback of another machine. */
  adminUrl: string | null
  load: NodeLoad
}

export type NodeLoad = {
  connections: number
  connectionsMax: number
  /** Per second, over the last announcement. */
  sendsPerSecond: number
  deliveriesPerSecond: number
  /** 99th percentile since the last announcement, ms. */
  eventLoopDelayMs: number
  memoryBytes: number
}

/** What reaches a node from the others: the doorbells of their commits, and what concerns its own connections. */
export interface BusListener extends CommitFeed {
  /**
   * Doorbells that left, or should have left, within the last `ageMs` may have been lost; the store knows what they would
   * have said.
   */
  doorbellsLost(ageMs: number): void
  /** A node died or left: what it held may be adopted. Every live node hears it; the store decides who acts. */
  nodeGone(node: NodeId): void
  /** A later connection of this device was made elsewhere, or may have been: close ours without a will's delay being lost. */
  deviceLost(clientId: ClientId): void
  /** Closes the connection of a device, if there is one; resolves when it has left and its cursors are in the store. */
  closeDevice(clientId: ClientId): Promise<void>
  /** A message on a plain topic, as another node's engine packed it. */
  plainReceived(frame: Buffer): void
  /** What another node handed to {@link Bus.signal}. `frame` is the callee's. */
  signalReceived(frame: Buffer): void
  /** Another node says of somebody whom this node follows: see {@link Bus.presence}. */
  presenceChanged(uid: UserId, part: PresencePart): void
}

/** What a node brings to its bus. */
export type NodeSide = {
  /** Told of what the other nodes say. */
  listener: BusListener
  /** State and load, read for each announcement. */
  describe: () => { state: NodeState; load: NodeLoad }
}

/** The other nodes that hold a device of a user, or that watch a group. */
export type SignalAudience = { uid: UserId } | { group: LogId }

/** Questions of one node to another, by name: takeover and the operator's commands. */
export type BusAnswer = (params: unknown, from: NodeId) => Promise<unknown>

/** A question that was not answered: the node is gone, or slower than the time given. */
export class NodeAwayError extends Error {
  override readonly name = 'NodeAwayError'
}

export interface Bus extends AsyncDisposable {
  readonly node: NodeId
  /** False: this process is the only one, now and later. */
  readonly hasOthers: boolean
  /**
   * True: the feed of the one store rings on every node, in the order of the commits, and before the answer of a later
   * call to the store. False: each node rings for what it committed, and those rings overtake each other, so that only
   * the store can say where a log stands.
   */
  readonly isOrdered: boolean
  /** What this node's commits bring about, on its way to the others; silent where {@link isOrdered}. Never throws. */
  readonly outgoing: CommitFeed
  /** Announces the node; resolves when doorbells reach it. Once, and after every {@link answer}. */
  open(side: NodeSide): Promise<void>

  // -------------------------------------------------------------- devices
  /** Has the other node that holds the device close it, within a bounded time; a node that does not answer is fenced by the store. */
  closeElsewhere(clientId: ClientId): Promise<void>
  /**
   * Takes the route of a device; when it resolves `held`, every doorbell of the user rings here. `lost`: a later
   * connection holds it, and this one must close. While the bus is away it resolves `held` after a bounded time; the
   * claim is made when it is back, and {@link BusListener.deviceLost} or `doorbellsLost` follow.
   */
  claim(claim: DeviceClaim): Promise<'held' | 'lost'>
  release(claim: DeviceClaim): void
  /** This node has members of the group; when it resolves, every doorbell of the group rings here. */
  watch(group: LogId): Promise<void>
  unwatch(group: LogId): void

  // -------------------------------------------------------------- nodes
  /** All live nodes, this one among them. */
  nodes(): Promise<NodeInfo[]>
  /** Where a user's devices are connected. */
  devicesOf(uid: UserId): Promise<{ device: DeviceId; node: NodeId }[]>
  /** Rejects with {@link NodeAwayError}, or with what the other end threw (a WochatError stays one). */
  ask(node: NodeId, question: string, params: unknown, timeoutMs?: number): Promise<unknown>
  /** Answers a question of other nodes, and of this one. */
  answer(question: string, answer: BusAnswer): void

  // -------------------------------------------------------------- plain topics
  /** Hands a plain message to the nodes that hold a device of `uid`, or to all with null. */
  sendPlain(frame: Buffer, uid: UserId | null): void

  // -------------------------------------------------------------- what is live
  /**
   * Hands something live to the other nodes of its audience. It may be lost and nobody catches up: what does not fit
   * within the bound is dropped and counted. `frame` is the callee's.
   */
  signal(audience: SignalAudience, frame: Buffer): void
  readonly signals: SignalCounters
  /** Who is there, over all nodes. */
  readonly presence: PresenceBoard
}

/** Since the start; each is a frame to the nodes of one audience. */
export type SignalCounters = { sent: number; dropped: number }
