/**
 * Doorbells for the nodes of users: all that the commits of one turn of the event loop say, with one look-up of all
 * their users' routes. Routes are read after the commit and never kept (docs/adr/0005-cluster.md).
 */
import type { UserId } from '../../../protocol/ids.ts'
import { collectNodes, type Routes } from '../../../services/redis/routes.ts'
import type { NodeId } from '../bus.ts'
import { FrameWriter } from '../frame-writer.ts'
import type { DoorbellBatches } from './doorbell-batches.ts'

/** Frames whose routes are being read; above, all nodes are told of a loss instead. */
const BYTES_WAITING_MAX = 64 * 1024 * 1024

/** One turn: frames in `writer`, and whom each is for, as indexes into `uids` (-1: nobody). */
class Turn {
  readonly since = performance.now()
  readonly writer = new FrameWriter(16 * 1024)
  readonly ends: number[] = []
  readonly first: number[] = []
  readonly second: number[] = []
  readonly uids: UserId[] = []
  routes: (string | null | undefined)[] | null = null
  readonly #indexes = new Map<UserId, number>()

  indexOf(uid: UserId): number {
    let index = this.#indexes.get(uid)
    if (index === undefined) {
      index = this.uids.push(uid) - 1
      this.#indexes.set(uid, index)
    }
    return index
  }
}

export class RoutedDoorbells {
  readonly #node: NodeId
  readonly #routes: Routes
  readonly #doorbells: DoorbellBatches
  readonly #isReady: () => boolean
  #turn: Turn | null = null
  /** In the order of the turns, so that doorbells of one sender stay in order. */
  readonly #reading: Turn[] = []
  #reads: Promise<void> = Promise.resolve()
  #bytesWaiting = 0

  constructor(parts: {
    node: NodeId
    routes: Routes
    doorbells: DoorbellBatches
    isReady: () => boolean
  }) {
    this.#node = parts.node
    this.#routes = parts.routes
    this.#doorbells = parts.doorbells
    this.#isReady = parts.isReady
  }

  get bytesWaiting(): number {
    return this.#bytesWaiting
  }

  /** Rings the other nodes of one user or of two; `write` puts one frame into the writer. */
  ring(write: (writer: FrameWriter) => void, uid: UserId, other: UserId | null): void {
    if (this.#bytesWaiting > BYTES_WAITING_MAX) {
      this.#doorbells.missed(performance.now())
      return
    }
    if (this.#turn === null) {
      this.#turn = new Turn()
      setImmediate(() => {
        const read = this.#read()
        this.#reads = this.#reads.then(() => read)
      })
    }
    const turn = this.#turn
    const start = turn.writer.at
    write(turn.writer)
    turn.ends.push(turn.writer.at)
    turn.first.push(turn.indexOf(uid))
    turn.second.push(other === null || other === uid ? -1 : turn.indexOf(other))
    this.#bytesWaiting += turn.writer.at - start
  }

  /** Resolves when all that was to be rung is with {@link DoorbellBatches}. */
  async drain(): Promise<void> {
    await new Promise(setImmediate)
    await this.#reads
  }

  async #read(): Promise<void> {
    const turn = this.#turn!
    this.#turn = null
    this.#reading.push(turn)
    turn.routes = this.#isReady() ? await this.#routes.read(turn.uids) : turn.uids.map(() => undefined)
    while (this.#reading[0]?.routes) this.#ringTurn(this.#reading.shift()!)
  }

  #ringTurn({ since, writer, ends, first, second, routes }: Turn): void {
    this.#bytesWaiting -= writer.at
    const nodes = routes!.map((route) => this.#othersOf(route))
    let start = 0
    let isKnown = true
    for (let i = 0; i < ends.length; i++) {
      const end = ends[i]!
      const some = nodes[first[i]!]!
      const more = second[i]! < 0 ? NOBODY : nodes[second[i]!]!
      for (const node of some) this.#doorbells.ring(node, writer.bytes, start, end)
      for (const node of more) if (!some.includes(node)) this.#doorbells.ring(node, writer.bytes, start, end)
      start = end
    }
    for (const route of routes!) isKnown &&= route !== undefined
    if (!isKnown) this.#doorbells.missed(since)
    this.#doorbells.flush()
  }

  #othersOf(route: string | null | undefined): readonly NodeId[] {
    if (!route) return NOBODY
    const nodes: NodeId[] = []
    collectNodes(route, nodes)
    const self = nodes.indexOf(this.#node)
    if (self >= 0) nodes.splice(self, 1)
    return nodes
  }
}

const NOBODY: readonly NodeId[] = []
