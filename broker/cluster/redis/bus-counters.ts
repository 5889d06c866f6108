/** What the bus of this node has done since its start, as plain numbers. */

export type BusCounters = {
  /** Doorbells and other frames handed to single nodes or to all. */
  framesSent: number
  /** Messages to a channel of Redis that carried them; and those that Redis did not take. */
  batchesSent: number
  batchesDropped: number
  framesHeard: number
  batchesHeard: number
  /** Frames of a kind, or batches of a form, that this version does not know. */
  unknownHeard: number
  /** How often doorbells may have been lost here: each starts a catch-up. */
  losses: number
  /** Routes of devices taken, and lost to another node. */
  claimsMade: number
  claimsLost: number
  questionsTimedOut: number
  /** Group entries that this node rang itself, because no live node has the role `fanout`. */
  ownRings: number
}

export function createBusCounters(): BusCounters {
  return {
    framesSent: 0,
    batchesSent: 0,
    batchesDropped: 0,
    framesHeard: 0,
    batchesHeard: 0,
    unknownHeard: 0,
    losses: 0,
    claimsMade: 0,
    claimsLost: 0,
    questionsTimedOut: 0,
    ownRings: 0,
  }
}
