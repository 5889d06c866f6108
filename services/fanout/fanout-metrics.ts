/** What the fan-out has done in this process since its start; `broker/metrics.ts` reads it. */
export type FanoutMetrics = {
  // ------------------------------------------------ of the queue
  /** Entries that were appended to a stream. */
  appended: number
  /** Entries that were not: Redis away, a stream full. The catch-up of the nodes delivers them. */
  dropped: number
  // ------------------------------------------------ of the worker
  /** Entries whose audience was rung. */
  processed: number
  /** Doorbells handed to single nodes. */
  rung: number
  /** Doorbells to all nodes. */
  broadcast: number
  /** Entries that were taken over from another worker, or from an unfinished turn of this one. */
  claimed: number
  /** Streams that this worker reads now. */
  shards: number
  /** Items that wait in those streams or are being rung; an item holds the entries of one turn of one node. */
  streamLength: number
  /** Age of the item that was rung last, ms; between the clocks of Redis and of this node. */
  lagMs: number
  // ------------------------------------------------ of both
  /** How often all nodes were told to ask the store, because entries may have rung nobody. */
  losses: number
}

export function createFanoutMetrics(): FanoutMetrics {
  return {
    appended: 0,
    dropped: 0,
    processed: 0,
    rung: 0,
    broadcast: 0,
    claimed: 0,
    shards: 0,
    streamLength: 0,
    lagMs: 0,
    losses: 0,
  }
}
