/** What a running server tells of itself. */
import type { Store } from '../services/store/contract.ts'

/** URLs of the open ports; empty, or null for TLS, where a port is not open. */
export type Endpoints = { mqtt: string; mqtts: string | null; http: string; ws: string; admin: string }

/** To be filled while the ports open. */
export function noEndpoints(): Endpoints {
  return { mqtt: '', mqtts: null, http: '', ws: '', admin: '' }
}

export type RunningServer = AsyncDisposable & { readonly endpoints: Endpoints; readonly store: Store }
