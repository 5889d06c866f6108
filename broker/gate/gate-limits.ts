/** Bounds of the gate; each is a setting, described in the configuration. */
export type GateLimits = {
  connectPacketBytesMax: number
  connectTimeoutMs: number
  packetBytesMax: number
  payloadBytesMax: number
  keepAliveSecondsMax: number
  sessionExpirySecondsMax: number
  devicesPerAccountMax: number
  sendsPerSecondMax: number
  signalsPerSecondMax: number
  sendsWaitingMax: number
  repliesWaitingMax: number
  windowEntries: number
  plainInflightMax: number
  drainTimeoutMs: number
  ackTimeoutMs: number
}
