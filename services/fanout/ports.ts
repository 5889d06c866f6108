/** What the fan-out of group messages needs of the bus, and what the bus needs of it. */
import type { LogId } from '../../protocol/ids.ts'

/** One life of one process. */
export type NodeId = string

/** Takes over the doorbells of group logs, each a frame as the bus packed it. */
export interface FanoutQueue {
  /** Called after the commit, in the order of the commits of this node. Never throws; `frame` is the callee's. */
  append(log: LogId, frame: Buffer): void
}

/** Rings nodes. A frame that gets lost is noticed by its receiver, which then asks the store. */
export interface Doorbells {
  /** Hands a frame to nodes with what else they get in this turn; this node, if listed, hears it too. */
  ring(nodes: readonly NodeId[], frame: Buffer): void
  /** One ring for all nodes, this one too. */
  broadcast(frame: Buffer): void
  /** The nodes that watch a group, dead ones left out. Groups of one turn are looked up together. Rejects while Redis is away. */
  watchersOf(group: LogId): Promise<NodeId[]>
  /** As of the last announcement, this node among them. */
  liveNodes(): readonly NodeId[]
  /**
   * Entries that were committed up to `ageMs` ago may have rung nobody, because a stream was full or emptied: every
   * node asks the store, from a position at least that old. Told until Redis has taken it.
   */
  lost(ageMs: number): void
}
