/** What is done for sessions that no connection cares for: those of dead nodes are adopted, and old ones end. */
import type { Logger } from 'pino'
import type { Bus } from '../broker/cluster/bus.ts'
import type { Engine } from '../broker/engine/engine.ts'
import type { Config } from '../config.ts'
import type { ClientId } from '../protocol/ids.ts'
import { startBackgroundTask } from '../services/background/background-task.ts'
import type { Store } from '../services/store/contract.ts'

const EXPIRE_EVERY_MS = 60_000

type Adoption = { store: Store; bus: Bus; engine: Engine | null; config: Config; log: Logger }

/** Sessions that were connected to nodes which live no more begin to expire, and their wills are released. */
export async function adoptSessions({ store, bus, engine, config, log }: Adoption): Promise<void> {
  try {
    const nodes = (await bus.nodes()).map(({ id }) => id)
    await store.adoptSessions({
      expiresAt: Date.now() + config.sessionExpirySecondsMax * 1000,
      except: nodes,
    })
    await engine?.nodesAlive(nodes)
  } catch (error) {
    log.warn({ err: error }, 'sessions of a node that is gone were not adopted; the next start does it')
  }
}

/** After a lease: a Redis that has just lost its data lists a live node only when that has announced itself again. */
export function adoptLater(adoption: Adoption, parts: AsyncDisposableStack): void {
  const timer = setTimeout(() => void adoptSessions(adoption), adoption.config.nodeLeaseMs)
  timer.unref()
  parts.defer(() => clearTimeout(timer))
}

type Expiry = {
  store: Store
  /** The engine forgets the session. */
  endPlainSession: (clientId: ClientId) => Promise<void>
  log: Logger
  parts: AsyncDisposableStack
}

export function expireSessions({ store, endPlainSession, log, parts }: Expiry): void {
  const task = startBackgroundTask({
    name: 'old sessions end',
    async step() {
      for (const clientId of await store.expireSessions()) await endPlainSession(clientId)
      return EXPIRE_EVERY_MS
    },
    firstAfterMs: EXPIRE_EVERY_MS,
    retryMs: EXPIRE_EVERY_MS,
    log,
  })
  parts.use(task)
}
