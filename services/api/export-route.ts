/** The archive of a person's own data over HTTP. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Archives } from '../accounts/archive.ts'
import { type CallContext, callerOf, type Dispatcher } from '../dispatcher.ts'
import { routeUrl } from './route-url.ts'

type RouteParts = {
  archives: Archives
  dispatcher: Dispatcher
  contextOf: (request: FastifyRequest, withToken: boolean) => Promise<CallContext>
}

export function serveExport(app: FastifyInstance, { archives, dispatcher, contextOf }: RouteParts): void {
  app.get(routeUrl('accounts.archive'), async (request, reply) => {
    const context = await contextOf(request, true)
    // Counts as a call of the operation, and is refused as that is.
    await dispatcher.call('accounts.export', {}, context)
    const { uid } = callerOf(context)
    return reply
      .header('cache-control', 'no-store')
      .header('content-disposition', `attachment; filename="${uid}.tar.gz"`)
      .type('application/gzip')
      .send(archives.of(uid))
  })
}
