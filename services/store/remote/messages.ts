/** What passes between a store and its clients in other processes, by kind of frame. */
import type { ErrorBody } from '../../../protocol/errors.ts'
import type { CallMessage, CallResult } from '../sqlite/messages.ts'

/**
 * To the store. `numbers` and `text`: sends, as `SendBatch` packs them. `bytes`: {@link CallMessage}s of the same turn;
 * none when empty.
 */
export const BATCH = 1
/** From the store, decided sends: {@link DECISION_NUMBERS} numbers each; `bytes`: {@link Refusal}s in their order. */
export const DECISIONS = 2
/** From the store, to all: what `FeedPacker` packs. */
export const FEED = 3
/** From the store: {@link CallResult}s. */
export const RESULTS = 4
/** Either way, for everything that is not the store's. */
export const PEER = 5

/** Place of the send among all of its client, seq, at; `at` 0 for a refused one. */
export const DECISION_NUMBERS = 3

export type Refusal = { body: ErrorBody; cause?: string }

export type { CallMessage, CallResult }

/** The one call that is not an operation of the store's thread. */
export const HEALTH = 'health'
