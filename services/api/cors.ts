/** Cross-origin calls by web pages [fetch.spec.whatwg.org/#http-cors-protocol]. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

const PREFLIGHT_MAX_AGE_S = 600
const EXPOSED = 'retry-after, etag, content-range, content-disposition'

/**
 * Lets pages of these origins call; `*` lets all. Tokens travel in a header, never in cookies, so credentials are not
 * part of it. Without origins no header is set, and a browser keeps foreign pages out.
 */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return
  const allowed = new Set(origins)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('vary', 'origin')
    const { origin } = request.headers
    if (origin === undefined || !(allowed.has(origin) || allowed.has('*'))) return
    reply.header('access-control-allow-origin', origin)
    reply.header('access-control-expose-headers', EXPOSED)
    if (isPreflight(request)) return answerPreflight(reply)
  })
}

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

function answerPreflight(reply: FastifyReply): FastifyReply {
  return reply
    .headers({
      'access-control-allow-methods': 'GET, POST, PUT',
      'access-control-allow-headers': 'authorization, content-type, range, if-none-match, if-range',
      'access-control-max-age': PREFLIGHT_MAX_AGE_S,
    })
    .code(204)
    .send()
}
