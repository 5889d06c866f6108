/** Whoever carries login codes to phones. */

export type CodeMessage = {
  /** `+` and digits. */
  phone: string
  code: string
  /** The whole text, for providers that send it as it is. */
  text: string
}

export interface SmsProvider {
  /** Hands the message over; rejects with `sms_failed` when it was not taken. */
  sendCode(message: CodeMessage): Promise<void>
}
