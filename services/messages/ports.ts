/** What sending needs of others. */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'

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

export const NO_TRANSIENT_SENDER: TransientSender = { sendTransient() {} }
