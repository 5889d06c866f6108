/**
 * Answers on `u/{uid}/reply/{deviceId}` and transient events on `u/{uid}/live`.
 * Readers must ignore kinds and fields they do not know.
 */
import type { ErrorBody } from './errors.ts'

export type Reply =
  /** A send was committed. Without `id` in the send there is no idempotency, and `idempotent` is false. */
  | { kind: 'accepted'; id?: string; log: string; seq: number; at: number; idempotent?: false }
  /** A send that is not stored is on its way to those who are online. */
  | { kind: 'accepted'; id?: string; log: string; at: number; transient: true }
  /** A send was refused. */
  | ({ kind: 'refused'; id?: string } & ErrorBody)
  /** A call has its result. `ref` is the caller's. */
  | { kind: 'result'; op: string; ref?: string; result: unknown }
  /** A call was refused. */
  | ({ kind: 'refused'; op: string; ref?: string } & ErrorBody)
  /** What the device missed follows on the inbox; `pending` entries, as far as counted. */
  | { kind: 'sync'; phase: 'start'; pending: number }
  /** The device has been sent everything; from here on it is live. */
  | { kind: 'sync'; phase: 'done' }

export type LiveEvent =
  | { kind: 'read'; log: string; seq: number }
  | { kind: 'typing'; from: string; log: string }
