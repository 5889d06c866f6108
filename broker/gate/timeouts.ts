/** What takes too long is cut: a CONNECT that does not come, silence, a socket that does not drain, a missing PUBACK. */
import { ReasonCode } from './codec/constants.ts'
import type { Connection } from './connection.ts'

/** One and a half times the keep alive, in ms per second of it [MQTT-3.1.2-22]. */
const KEEP_ALIVE_GRACE = 1500

/** Called about once a second for every connection; `now` in ms. */
export function checkTimeouts(connection: Connection, now: number): void {
  const { limits, metrics } = connection.services
  if (connection.state === 'new' || connection.state === 'opening') {
    if (now - connection.openedAt > limits.connectTimeoutMs) connection.destroy()
    return
  }
  if (connection.state !== 'open') return
  const { keepAliveSeconds, token, session } = connection.identity
  const silentMs = now - connection.lastReceivedAt
  if (keepAliveSeconds > 0 && silentMs > keepAliveSeconds * KEEP_ALIVE_GRACE && !connection.isHeld) {
    connection.disconnect(ReasonCode.keepAliveTimeout)
  } else if (token !== null && token.sid === null && token.expiresAt <= now) {
    connection.disconnect(ReasonCode.notAuthorized)
  } else if (isBlocked(connection, now)) {
    metrics.slowCuts++
    connection.destroy()
  } else if (session.inflight.unacked > 0 && now - session.inflight.waitingSince > limits.ackTimeoutMs) {
    metrics.slowCuts++
    connection.disconnect(ReasonCode.unspecifiedError)
  }
}

function isBlocked(connection: Connection, now: number): boolean {
  if (connection.transport.pendingBytes === 0) {
    connection.blockedSince = 0
    return false
  }
  if (connection.blockedSince === 0) connection.blockedSince = now
  return now - connection.blockedSince > connection.services.limits.drainTimeoutMs
}
