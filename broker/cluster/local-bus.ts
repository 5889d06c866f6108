/** The bus of a single process: everybody is here, and the store's own feed rings. */
import type { PresenceBoard } from '../../services/presence/ports.ts'
import type { CommitFeed } from '../../services/store/contract.ts'
import {
  type Bus,
  type BusAnswer,
  type BusListener,
  NodeAwayError,
  type NodeId,
  type NodeInfo,
  type NodeLoad,
  type NodeSide,
  newNodeId,
  type SignalCounters,
} from './bus.ts'

export const SILENT_FEED: CommitFeed = {
  entryCommitted() {},
  logGrew() {},
  memberJoined() {},
  memberLeft() {},
  readMoved() {},
  stateChanged() {},
  loginEnded() {},
}

export const SILENT_LISTENER: BusListener = {
  ...SILENT_FEED,
  doorbellsLost() {},
  nodeGone() {},
  deviceLost() {},
  async closeDevice() {},
  plainReceived() {},
  signalReceived() {},
  presenceChanged() {},
}

/** Of a node without others. */
export const NO_PRESENCE: PresenceBoard = {
  put() {},
  read: async (uids) => uids.map(() => []),
  follow: async (uids) => uids.map(() => []),
  unfollow() {},
}

export const NO_LOAD: NodeLoad = {
  connections: 0,
  connectionsMax: 0,
  sendsPerSecond: 0,
  deliveriesPerSecond: 0,
  eventLoopDelayMs: 0,
  memoryBytes: 0,
}

/** Of a bus that is not open yet. */
export const SILENT_SIDE: NodeSide = {
  listener: SILENT_LISTENER,
  describe: () => ({ state: 'starting', load: NO_LOAD }),
}

export type LocalNode = {
  name: string
  version: string
  roles: readonly string[]
  adminUrl: () => string | null
}

export class LocalBus implements Bus {
  readonly node: NodeId
  readonly hasOthers = false
  readonly isOrdered = true
  readonly outgoing = SILENT_FEED
  readonly signals: SignalCounters = { sent: 0, dropped: 0 }
  readonly presence = NO_PRESENCE
  readonly #self: LocalNode
  readonly #startedAt = Date.now()
  readonly #answers = new Map<string, BusAnswer>()
  #side = SILENT_SIDE

  constructor(self: LocalNode) {
    this.#self = self
    this.node = newNodeId(self.name)
  }

  async open(side: NodeSide): Promise<void> {
    this.#side = side
  }

  async closeElsewhere(): Promise<void> {}

  async claim(): Promise<'held'> {
    return 'held'
  }

  release(): void {}

  async watch(): Promise<void> {}

  unwatch(): void {}

  async nodes(): Promise<NodeInfo[]> {
    const { name, version, roles, adminUrl } = this.#self
    const { state, load } = this.#side.describe()
    return [
      { id: this.node, name, version, roles, state, startedAt: this.#startedAt, adminUrl: adminUrl(), load },
    ]
  }

  async devicesOf(): Promise<never[]> {
    return []
  }

  async ask(node: NodeId, question: string, params: unknown): Promise<unknown> {
    const answer = node === this.node ? this.#answers.get(question) : undefined
    if (answer === undefined) throw new NodeAwayError(`${node} does not answer ${question}`)
    return answer(params, this.node)
  }

  answer(question: string, answer: BusAnswer): void {
    this.#answers.set(question, answer)
  }

  sendPlain(): void {}

  signal(): void {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
