/** The nodes of the cluster as this one knows them: renews its own lease, and notices who came and who went. */
import type { NodeList } from '../../../services/redis/node-list.ts'
import type { NodeId, NodeInfo } from '../bus.ts'

export type MembersParts = {
  node: NodeId
  leaseMs: number
  list: NodeList
  /** What this node announces of itself. */
  describe: () => NodeInfo
  /**
   * A node has gone; `died`: without a word, so that it may have committed and rung nobody since `rangUntil`, ms of
   * `performance.now()`.
   */
  onGone: (node: NodeId, { died, rangUntil }: { died: boolean; rangUntil: number }) => void
  /** This node's lease was over, or Redis has lost what it knew. */
  onLeaseLost: () => void
}

/** Ids of nodes that said they go; the oldest is forgotten first. */
const LEAVING_MAX = 1000

export class Members {
  readonly #parts: MembersParts
  readonly #leaving = new Set<NodeId>()
  #live: ReadonlySet<NodeId> = new Set()
  /** Whom this node believes to live, until it is told that they have gone, and when their leases were held last. */
  readonly #known = new Map<NodeId, number>()
  #version = ''
  /** Counts the leases that this node has had. */
  #lease = 1
  #emptiedAt = Number.NEGATIVE_INFINITY
  /** When the last announcement that was answered was made; null before the first. */
  #heldAt: number | null = null
  /** Microseconds from this machine's clock to that of Redis. */
  #clockOffset = 0
  #announcing: Promise<void> | null = null

  constructor(parts: MembersParts) {
    this.#parts = parts
  }

  get lease(): number {
    return this.#lease
  }

  /** Microseconds of Redis TIME, as far as known here. */
  get time(): number {
    return Math.round(Date.now() * 1000 + this.#clockOffset)
  }

  get live(): ReadonlySet<NodeId> {
    return this.#live
  }

  isLive = (node: NodeId): boolean => this.#live.has(node)

  /** Whether every node that lives had the time to announce itself since the list was emptied, or this node was away. */
  get isSettled(): boolean {
    return performance.now() - this.#emptiedAt > this.#parts.leaseMs
  }

  /** Announces this node and reads who else is there. Rejects while Redis is away. */
  refresh(): Promise<void> {
    this.#announcing ??= this.#announce().finally(() => {
      this.#announcing = null
    })
    return this.#announcing
  }

  /** As of an announcement that began after this call. */
  async refreshFromNow(): Promise<void> {
    await this.#announcing?.catch(() => {})
    await this.refresh()
  }

  saidGoodbye(node: NodeId): void {
    this.#leaving.add(node)
    if (this.#leaving.size > LEAVING_MAX) this.#leaving.delete(this.#leaving.values().next().value!)
  }

  async leave(): Promise<void> {
    await this.#announcing?.catch(() => {})
    await this.#parts.list.leave(this.#parts.node)
  }

  async #announce(): Promise<void> {
    const { node, leaseMs, list, describe } = this.#parts
    const askedAt = performance.now()
    const answer = await list.announce(node, JSON.stringify(describe()), leaseMs, this.#version)
    this.#version = answer.version
    this.#clockOffset = answer.time - Date.now() * 1000
    if (answer.nodes !== null) this.#live = new Set(answer.nodes)
    for (const id of this.#live) this.#known.set(id, askedAt)
    // An announcement that came late, and whose answer nobody waited for, has taken the lease again after its end.
    const mayHaveEnded = performance.now() - (this.#heldAt ?? askedAt) > leaseMs
    const isLost = this.#heldAt !== null && (!answer.wasHeld || mayHaveEnded)
    this.#heldAt = askedAt
    if (isLost) {
      this.#lease++
      this.#emptiedAt = performance.now()
      this.#parts.onLeaseLost()
    }
    this.#reportGone()
  }

  #reportGone(): void {
    if (!this.isSettled) return
    for (const [id, heldAt] of this.#known) {
      if (this.#live.has(id)) continue
      this.#known.delete(id)
      this.#parts.onGone(id, { died: !this.#leaving.delete(id), rangUntil: heldAt - this.#parts.leaseMs })
    }
  }
}
