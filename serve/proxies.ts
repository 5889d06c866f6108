/** Who may speak for clients. */
import type { Logger } from 'pino'
import type { ProxySettings } from '../broker/listeners/proxied-server.ts'
import type { Config } from '../config.ts'

/** A port that is open to the world is refused all the time; the metric counts, the log says it once in a while. */
const REFUSALS_LOGGED_EVERY_MS = 60_000

/** Refused connections are counted by reason in `refusals`. */
export function proxySettings(config: Config, refusals: Map<string, number>, log: Logger): ProxySettings {
  const loggedAt = new Map<string, number>()
  return {
    trustedProxies: config.trustedProxies,
    onRefused(reason, peer, detail) {
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
      const now = performance.now()
      if (now - (loggedAt.get(reason) ?? -REFUSALS_LOGGED_EVERY_MS) < REFUSALS_LOGGED_EVERY_MS) return
      loggedAt.set(reason, now)
      log.warn({ reason, peer, detail }, 'a connection without a good PROXY protocol header was closed')
    },
  }
}
