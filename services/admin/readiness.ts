/**
 * Whether a load balancer may send traffic to this process. It turns red before that must stop: at the beginning of
 * a drain or a stop, not at its end. The bus being away is no reason, because sends still work; it is a warning.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Readiness } from '../api/admin-server.ts'
import type { StoreHealth } from '../store/contract.ts'

/** A store that does not say how it is within this time is not well. */
const STORE_ANSWER_MS = 2000

type ReadinessParts = {
  state: () => 'starting' | 'ready' | 'draining' | 'stopping'
  /** Why the event loop is not fit to serve; null when it is. */
  loopFault: () => string | null
  storeHealth: () => Promise<StoreHealth>
  warnings: () => string[]
}

export async function checkReadiness({
  state,
  loopFault,
  storeHealth,
  warnings,
}: ReadinessParts): Promise<Readiness> {
  const reasons: string[] = []
  if (state() !== 'ready') reasons.push(`the node is ${state()}`)
  const late = loopFault()
  if (late !== null) reasons.push(late)
  const fault = await storeFault(storeHealth)
  if (fault !== null) reasons.push(fault)
  return { ready: reasons.length === 0, reasons, warnings: warnings() }
}

async function storeFault(storeHealth: () => Promise<StoreHealth>): Promise<string | null> {
  const timeout = new AbortController()
  const late = sleep(STORE_ANSWER_MS, 'the store does not answer', { signal: timeout.signal, ref: false })
  const asked = storeHealth().then(
    ({ reason, writable }) => reason ?? (writable ? null : 'the store takes no writes'),
    (error: unknown) => `the store failed: ${error instanceof Error ? error.message : String(error)}`,
  )
  try {
    return await Promise.race([asked, late])
  } finally {
    timeout.abort()
    late.catch(() => {})
  }
}
