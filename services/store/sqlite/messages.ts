/** What passes between the store's client and its thread. */
import type { ErrorBody } from '../../../protocol/errors.ts'
import type { StoredCall } from '../contract.ts'
import type { StorePolicy } from '../policy.ts'
import type { FeedItem } from './work.ts'

export type WorkerSettings = { file: string; policy: StorePolicy; unfiledAgeMaxMs: number }

export type ReaderSettings = Pick<WorkerSettings, 'file' | 'policy'>

export type ReadMessage = { id: number; call: StoredCall }

export type CallMessage = {
  id: number
  op: string
  input: unknown
  /** The call takes effect before the send at this position of the batch. */
  before: number
}

/** One batch: one transaction, one fsync. */
export type BatchMessage = {
  text: string
  lengths: Uint32Array<ArrayBuffer>
  calls: CallMessage[]
}

export type CallResult =
  | { id: number; value: unknown }
  | { id: number; refused: ErrorBody }
  | { id: number; failed: string }

export type BatchAnswer = {
  kind: 'batch'
  /** `DECISION_FIELDS` numbers per send. */
  decisions: Float64Array<ArrayBuffer>
  /** The committed entries' JSON, back to back with one byte between; ends by entry. Sends and feed take theirs in order. */
  bytes: Uint8Array<ArrayBuffer>
  ends: Uint32Array<ArrayBuffer>
  feed: { before: number; item: FeedItem }[]
  results: CallResult[]
}

export type WorkerMessage =
  | BatchAnswer
  | { kind: 'ready' }
  /** The whole batch was rolled back. */
  | { kind: 'rolledBack'; code: 'store_full' | 'internal'; message: string; callIds: number[] }
  /** The disk no longer keeps its word; the process must stop. */
  | { kind: 'fatal'; message: string }
  | { kind: 'closed' }
