/**
 * The HTTP face: `POST /v1/{operation}` for every operation of the catalogue, the keys of our tokens, the OpenAPI
 * document and a page that says what this is. MQTT over WebSocket shares the port: it attaches to `server`.
 */
import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import Fastify, {
  type FastifyError,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import type { Logger } from 'pino'
import { findOperation } from '../../protocol/catalogue/catalogue.ts'
import { asWochatError, ERRORS, WochatError } from '../../protocol/errors.ts'
import { JsonText } from '../../protocol/json-text.ts'
import { buildOpenApi } from '../../protocol/openapi.ts'
import type { Archives } from '../accounts/archive.ts'
import type { Jwks } from '../auth/keyring.ts'
import type { TokenVerifier } from '../auth/token.ts'
import { clientAddress, trustNetworks } from '../client-address.ts'
import type { CallContext, Dispatcher } from '../dispatcher.ts'
import { allowOrigins } from './cors.ts'
import { serveExport } from './export-route.ts'
import { endIdleConnections } from './idle-connections.ts'
import { buildLandingPage, type Endpoints } from './landing-page.ts'
import { type MediaRoutes, serveMedia } from './media-routes.ts'

export type HttpSettings = {
  /** Bytes of a request body: the payload limit and what its envelope needs. */
  bodyBytesMax: number
  /** Origins of web pages, beside our own, that may call; `*` for any. */
  allowedOrigins: readonly string[]
  /** Proxies whose `x-forwarded-for` is believed: addresses or networks. */
  trustedProxies?: readonly string[]
  /** Certificate chain and key in PEM; turns HTTP into HTTPS. */
  tls: { certFile: string; keyFile: string } | null
}

type HttpParts = {
  dispatcher: Dispatcher
  verifier: TokenVerifier
  keyring: { jwks(): Jwks }
  /** What people may take along, where it is served. */
  archives?: Archives
  /** Files, where they are served. */
  media?: MediaRoutes
  /** The server's version. */
  version: string
  endpoints: () => Endpoints
  /** False on a node that only takes MQTT over WebSocket here. */
  servesApi: boolean
  settings: HttpSettings
  log: Pick<Logger, 'error' | 'debug'>
}

export type HttpServer = AsyncDisposable & {
  /** Resolves with the port; rejects when it cannot be taken. */
  listen(at: { host: string; port: number }): Promise<number>
  /** Takes `upgrade`. Its upgraded sockets must be ended before the server is disposed of. */
  readonly server: Server
}

/** From the first byte to the end of the body; a slower client is cut. */
const REQUEST_TIMEOUT_MS = 30_000
const HEADERS_TIMEOUT_MS = 10_000
const KEEP_ALIVE_TIMEOUT_MS = 72_000
const HEADER_BYTES_MAX = 32 * 1024
const MALFORMED = 'the request is malformed'
const METHODS_REFUSED = ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']

export async function createHttpServer(parts: HttpParts): Promise<HttpServer> {
  const app = Fastify(serverOptions(parts.settings))
  app.server.headersTimeout = HEADERS_TIMEOUT_MS
  endIdleConnections(app)
  readBodies(app)
  answerErrors(app, parts.log)
  setSecurityHeaders(app, parts.settings.tls !== null)
  allowOrigins(app, parts.settings.allowedOrigins)
  if (parts.servesApi) serveOperations(app, parts)
  if (parts.servesApi) serveDocuments(app, parts)
  if (parts.servesApi && parts.archives !== undefined) {
    serveExport(app, {
      archives: parts.archives,
      dispatcher: parts.dispatcher,
      contextOf: createContextReader(parts),
    })
  }
  if (parts.servesApi && parts.media !== undefined) {
    serveMedia(app, { ...parts.media, dispatcher: parts.dispatcher, contextOf: createContextReader(parts) })
  }
  await app.ready()
  return {
    server: app.server,
    async listen({ host, port }) {
      // For `localhost` Fastify opens a second server, which whoever prepared `server` would not know.
      const { address: bound } = host === 'localhost' ? await lookup(host) : { address: host }
      await app.listen({ host: bound, port, listenTextResolver: () => '' })
      const address = app.server.address()
      return typeof address === 'object' && address !== null ? address.port : port
    },
    [Symbol.asyncDispose]: () => app.close(),
  }
}

function serverOptions(settings: HttpSettings): FastifyHttpOptions<Server> {
  const options: FastifyHttpOptions<Server> = {
    logger: false,
    bodyLimit: settings.bodyBytesMax,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    exposeHeadRoutes: false,
    // Requests that never reach a route: an address that is no URL, and bytes that are no HTTP.
    frameworkErrors: (error, _request, reply) => void sendRefusal(reply, readFailure(error)),
    clientErrorHandler: (error, socket) => refuseConnection(error, socket),
    http: { maxHeaderSize: HEADER_BYTES_MAX },
  }
  if (settings.tls === null) return options
  const { certFile, keyFile } = settings.tls
  // The types know a server of HTTP or of HTTPS; the routes are the same for both.
  const https = { cert: readFileSync(certFile), key: readFileSync(keyFile), maxHeaderSize: HEADER_BYTES_MAX }
  return { ...options, https } as FastifyHttpOptions<Server>
}

// ---------------------------------------------------------------- operations

type OperationRequest = FastifyRequest<{ Params: { operation: string } }>

function serveOperations(app: FastifyInstance, parts: HttpParts): void {
  const { dispatcher, log } = parts
  const contextOf = createContextReader(parts)
  app.post('/v1/:operation', async (request: OperationRequest, reply) => {
    const name = request.params.operation
    const operation = findOperation(name)
    if (operation === undefined) throw new WochatError('unknown_operation')
    // A public operation takes no token; a client that sends an old one along is not refused for it.
    const context = await contextOf(request, operation.access === 'user')
    const result = await dispatcher.call(name, request.body === undefined ? {} : request.body, context)
    log.debug({ op: name, ms: Math.round(reply.elapsedTime) }, 'call answered')
    reply.header('cache-control', 'no-store')
    if (!(result instanceof JsonText)) return reply.send(result)
    return reply.type('application/json; charset=utf-8').send(result.text)
  })
  app.route({
    method: METHODS_REFUSED,
    url: '/v1/:operation',
    handler: async (request: OperationRequest, reply) => {
      if (findOperation(request.params.operation) === undefined) throw new WochatError('unknown_operation')
      reply.header('allow', 'POST')
      throw new WochatError('method_not_allowed')
    },
  })
}

/** Who makes a request, with their token where one is asked for. */
function createContextReader({ verifier, settings }: HttpParts) {
  const isTrusted = trustNetworks(settings.trustedProxies ?? [])
  return async (request: FastifyRequest, withToken: boolean): Promise<CallContext> => {
    const token = withToken ? await verifier.verify(readBearer(request)) : null
    const address = clientAddress(request.ip, request.headers['x-forwarded-for'], isTrusted)
    return { token, device: token?.device ?? null, address }
  }
}

/** A JWT, or the API key of a bot. */
const BEARER = /^Bearer +([\w-]+\.[\w-]+\.[\w-]+|wck_[\w-]+)$/i

function readBearer(request: FastifyRequest): string {
  const token = BEARER.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) {
    throw new WochatError(
      'unauthenticated',
      'the request has no header "authorization: Bearer {access token}"',
    )
  }
  return token
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

/** Bodies are JSON in UTF-8; an empty one is an operation without parameters. */
function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: unknown, body: Buffer) => {
      if (body.length === 0) return {}
      try {
        return JSON.parse(UTF8.decode(body)) as unknown
      } catch {
        // The cause quotes the body, which may hold a code or a token.
        throw new WochatError('bad_json')
      }
    },
  )
}

// ---------------------------------------------------------------- answers

function answerErrors(app: FastifyInstance, log: Pick<Logger, 'error'>): void {
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const refusal = readFailure(error)
    // What a call failed by is logged by the dispatcher; this is a failure outside of it.
    if (refusal !== error && refusal.code === 'internal') {
      log.error({ err: error, route: request.routeOptions.url }, 'an HTTP request failed')
    }
    return sendRefusal(reply, refusal)
  })
  app.setNotFoundHandler(async (_request, reply) =>
    sendRefusal(reply, new WochatError('unknown_operation', 'there is nothing at this address')),
  )
}

function readFailure(error: FastifyError): WochatError {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new WochatError('too_large')
  if (error.code === 'FST_ERR_MAX_PARAM_LENGTH') return new WochatError('unknown_operation')
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new WochatError('bad_json', 'the content-type of a call is application/json')
  }
  const isOurs = error instanceof WochatError
  if (!isOurs && (error.statusCode ?? 500) < 500) return new WochatError('bad_request', MALFORMED)
  return asWochatError(error)
}

async function sendRefusal(reply: FastifyReply, refusal: WochatError): Promise<FastifyReply> {
  const { http: status } = ERRORS[refusal.code]
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  if (refusal.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(refusal.retryAfterMs / 1000))
  reply.header('cache-control', 'no-store')
  return reply.code(status).send({ error: refusal.toWire() })
}

const CONNECTION_REFUSALS: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
])

/** There is no request to answer, so the answer is written by hand and the connection ends. */
function refuseConnection(error: { code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status = CONNECTION_REFUSALS.get(error.code ?? '') ?? '400 Bad Request'
  const body = JSON.stringify({ error: new WochatError('bad_request', MALFORMED).toWire() })
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** The page has no script and no foreign part, so the strictest policy holds for all answers. */
function setSecurityHeaders(app: FastifyInstance, https: boolean): void {
  const headers = {
    'content-security-policy':
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    ...(https && { 'strict-transport-security': 'max-age=31536000' }),
  }
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(headers)
  })
}

// ---------------------------------------------------------------- documents

function serveDocuments(app: FastifyInstance, { keyring, version, endpoints }: HttpParts): void {
  const openApi = JSON.stringify(buildOpenApi({ version }))
  app.get('/.well-known/jwks.json', async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=60').send(keyring.jwks()),
  )
  app.get('/v1/openapi.json', async (_request, reply) => reply.type('application/json').send(openApi))
  app.get('/', async (_request, reply) =>
    reply.type('text/html; charset=utf-8').send(buildLandingPage({ version, endpoints: endpoints() })),
  )
}
