/** What sending needs of others. */
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
}

const NO_TRANSIENT_SENDER: TransientSender = { sendTransient() {} }

/** What messages pass on their way in, on every road. */
export type MessageIntake = {
  /** Null while nothing screens, which operators change while the server runs: then messages go to the store at once. */
  screening: Screening | null
  readonly transient: TransientSender
}

/** Without `transient`, where no device is connected, nobody gets what is not stored. */
export function createIntake(transient: TransientSender = NO_TRANSIENT_SENDER): MessageIntake {
  return { screening: null, transient }
}
