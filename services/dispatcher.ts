/** How a call of the catalogue reaches its service, from MQTT and from HTTP alike. */
import type { VerifiedToken } from './auth/token.ts'

export type CallContext = {
  /** Null for a call without a token; only `public` operations take it. */
  token: VerifiedToken | null
  /** The device of the MQTT connection, or of the token; null when neither names one. */
  device: import('../protocol/ids.ts').DeviceId | null
  /** Peer address, for caps. */
  address: string
}

export interface Dispatcher {
  /**
   * Checks name, access and parameters, runs the operation and resolves with its result.
   * Rejects with a `WochatError`; a failure of ours is `internal` and is logged.
   */
  call(name: string, params: unknown, context: CallContext): Promise<unknown>
}
