/**
 * The admin port: metrics, health and the operator's operations. It has no login; the configuration keeps it on
 * loopback unless told otherwise.
 */
import Fastify, { type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import { serveAdminOperations } from '../admin/admin-routes.ts'
import type { AdminService } from '../admin/admin-service.ts'
import { endIdleConnections } from './idle-connections.ts'

/** Whether this process may be given traffic; the reasons say why not, the warnings what is wrong all the same. */
export type Readiness = { ready: boolean; reasons: readonly string[]; warnings: readonly string[] }

type AdminParts = {
  registry: Registry
  readiness: () => Promise<Readiness>
  operations: { service: AdminService; hostNames: readonly string[]; log: Logger } | null
}

type AdminServer = AsyncDisposable & {
  /** Resolves with the port; rejects when it cannot be taken. */
  listen(at: { host: string; port: number }): Promise<number>
  /** For further routes of this port. */
  readonly app: FastifyInstance
}

const REQUEST_TIMEOUT_MS = 10_000

/** `/metrics` for Prometheus; `/livez`: the event loop turns; `/readyz`: 200, or 503 with the reasons. */
export function createAdminServer({ registry, readiness, operations }: AdminParts): AdminServer {
  const app = Fastify({ logger: false, requestTimeout: REQUEST_TIMEOUT_MS, forceCloseConnections: 'idle' })
  endIdleConnections(app)
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', registry.contentType).send(await registry.metrics()),
  )
  app.get('/livez', async () => ({ live: true }))
  app.get('/readyz', async (_request, reply) => {
    const state = await readiness().catch(
      (error: unknown): Readiness => ({ ready: false, reasons: [String(error)], warnings: [] }),
    )
    return reply.code(state.ready ? 200 : 503).send(state)
  })
  const stopping = new AbortController()
  if (operations !== null) serveAdminOperations(app, { ...operations, signal: stopping.signal })
  return {
    app,
    async listen({ host, port }) {
      await app.listen({ host, port, listenTextResolver: () => '' })
      const address = app.server.address()
      return typeof address === 'object' && address !== null ? address.port : port
    },
    [Symbol.asyncDispose]: () => {
      stopping.abort()
      return app.close()
    },
  }
}
