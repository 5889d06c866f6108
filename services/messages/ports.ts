/** What sending needs of others. */
import type { TraceStep } from '../../protocol/admin/rows.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { Screening } from './screening.ts'

/** A message that is not stored. Its sender may write in the log; that was decided at `at`, ms. */
export type TransientMessage = {
  log: LogId
  from: UserId
  device: DeviceId | null
  id: string | null
  type: string
  bodyJson: string
  at: number
}

export interface TransientSender {
  /** Brings a message to those of the log who are online, as a live event. Never throws; nothing is tried again. */
  sendTransient(message: TransientMessage): void
  /** Whether the device has a seat in a room that keeps no entries, by a connection to this node. */
  isSeated(room: LogId, uid: UserId, device: DeviceId | null): boolean
}

const NO_TRANSIENT_SENDER: TransientSender = { sendTransient() {}, isSeated: () => false }

/** The message that takes a step, and the device: its author's, or the one that it is sent to. */
export type TracedMessage = {
  log: LogId
  seq: number | null
  uid: UserId
  device: DeviceId | null
  id: string | null
}

/** Where the steps of messages are noted for an operator who asked for them. */
export interface MessageTracing {
  /** Null while nobody has asked. */
  readonly armed: { step(step: TraceStep, message: TracedMessage): void } | null
}

const NO_TRACING: MessageTracing = { armed: null }

/** What messages pass on their way in, on every road. */
export type MessageIntake = {
  /** Null while nothing screens, which operators change while the server runs: then messages go to the store at once. */
  screening: Screening | null
  readonly transient: TransientSender
  readonly tracing: MessageTracing
}

/** Without `transient`, where no device is connected, nobody gets what is not stored. */
export function createIntake({
  transient = NO_TRANSIENT_SENDER,
  tracing = NO_TRACING,
}: Partial<Pick<MessageIntake, 'transient' | 'tracing'>> = {}): MessageIntake {
  return { screening: null, transient, tracing }
}
