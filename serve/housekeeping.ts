/** What a node does by the clock: sessions whose time has come are ended. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Store } from '../services/store/contract.ts'
import type { Broker } from './broker.ts'

const EXPIRE_EVERY_MS = 60_000

export function expireSessions(
  broker: Broker | null,
  store: Store,
  log: Logger,
  parts: AsyncDisposableStack,
): void {
  if (broker === null) return
  const stop = new AbortController()
  const loop = async (): Promise<void> => {
    for (;;) {
      await sleep(EXPIRE_EVERY_MS, undefined, { signal: stop.signal, ref: false })
      try {
        for (const clientId of await store.expireSessions()) await broker.gate.endPlainSession(clientId)
      } catch (error) {
        log.warn({ err: error }, 'sessions were not expired; the next turn tries again')
      }
    }
  }
  loop().catch(() => {})
  parts.defer(() => stop.abort())
}
