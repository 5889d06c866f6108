/**
 * Answers on `u/{uid}/reply/{deviceId}` and transient events on `u/{uid}/live`.
 * Readers must ignore kinds and fields they do not know.
 */
import type { ErrorBody } from './errors.ts'
import { JsonText } from './json-text.ts'

export type Reply =
  /** A send was committed. Without `id` in the send there is no idempotency, and `idempotent` is false. */
  | { kind: 'accepted'; id?: string; log: string; seq: number; at: number; idempotent?: false }
  /** A send that is not stored is on its way to those who are online. */
  | { kind: 'accepted'; id?: string; log: string; at: number; transient: true }
  /** A send was refused. */
  | ({ kind: 'refused'; id?: string } & ErrorBody)
  /** A call has its result, which may be a {@link JsonText}. `ref` is the caller's. */
  | { kind: 'result'; op: string; ref?: string; result: unknown }
  /** A call was refused. */
  | ({ kind: 'refused'; op: string; ref?: string } & ErrorBody)
  /** What the device missed follows on the inbox; `pending` entries, as far as counted. */
  | { kind: 'sync'; phase: 'start'; pending: number }
  /** The device has been sent everything; from here on it is live. */
  | { kind: 'sync'; phase: 'done' }

export function encodeReply(reply: Reply): string {
  if (reply.kind !== 'result' || !(reply.result instanceof JsonText)) return JSON.stringify(reply)
  const { result, ...rest } = reply
  return `${JSON.stringify(rest).slice(0, -1)},"result":${reply.result.text}}`
}

/**
 * What is live: QoS 0, kept nowhere. `read` without `from` is the pointer of the user's own other devices; with it the
 * other person of a direct conversation has read up to `seq`.
 */
/** What a device keeps a copy of, and asks for by version: the operation is `{scope}.changes`. */
export type ChangeScope = 'contacts' | 'conversations' | 'groups' | 'settings'

export type LiveEvent =
  | { kind: 'read'; log: string; seq: number; from?: string }
  /** A device of `from` has acknowledged what was written up to `seq`. */
  | { kind: 'delivered'; from: string; log: string; seq: number }
  | { kind: 'typing'; from: string; log: string }
  /** Of somebody who is watched; `lastSeen` (ms since 1970) comes with `offline`. */
  | { kind: 'presence'; uid: string; state: 'online' | 'away' | 'offline'; lastSeen?: number }
  /** Something of one's own changed, on whatever device: `{scope}.changes` of an earlier version answers what. */
  | { kind: 'changed'; scope: ChangeScope; version: number }
  | TransientMessage

/** A message that no log keeps: it has no `seq`, and who is not there does not get it. */
type TransientMessage = {
  kind: 'message'
  transient: true
  log: string
  at: number
  from: string
  device?: string
  id?: string
  type: string
  body: unknown
}
