/**
 * The operations over HTTP: `POST /admin/v1/{operation}` with JSON, and GET with a query for those that read.
 *
 * There is no login: whoever reaches the port may do everything. A browser on the same machine reaches it too, so a
 * page of another site is refused, and so is a name that was made to point here (DNS rebinding).
 */
import { isIP } from 'node:net'
import { Readable } from 'node:stream'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { TObject } from 'typebox'
import type { AdminOperation } from '../../protocol/admin/operation.ts'
import {
  ADMIN_NAMES,
  ADMIN_OPERATIONS,
  type AdminName,
  findAdminOperation,
} from '../../protocol/admin/operations.ts'
import type { TraceLine } from '../../protocol/admin/rows.ts'
import { asWochatError, ERRORS, WochatError } from '../../protocol/errors.ts'
import type { AdminService } from './admin-service.ts'

const PREFIX = '/admin/v1'
const BODY_BYTES_MAX = 16 * 1024
const UTF8 = new TextDecoder('utf-8', { fatal: true })

type AdminRouteParts = {
  service: AdminService
  /** Host names, beside addresses and `localhost`, by which this port is reached. */
  hostNames: readonly string[]
  log: Pick<Logger, 'error' | 'info'>
  /** Ends the streams. */
  signal: AbortSignal
}

type OperationRequest = FastifyRequest<{ Params: { operation: string } }>

export function serveAdminOperations(app: FastifyInstance, parts: AdminRouteParts): void {
  app.register(
    async (routes) => {
      readBodies(routes)
      answerErrors(routes, parts.log)
      routes.addHook('onRequest', async (request) => refuseForeignPages(request, parts.hostNames))
      routes.get('/:operation', async (request: OperationRequest, reply) => {
        const name = getOperation(request.params.operation)
        if (ADMIN_OPERATIONS[name].kind === 'change') {
          reply.header('allow', 'POST')
          throw new WochatError('method_not_allowed', 'what changes something is called by POST')
        }
        return answer(parts, name, readQuery(name, request.query as Record<string, unknown>), reply)
      })
      for (const name of ADMIN_NAMES) {
        const { bodyBytesMax: bodyLimit = BODY_BYTES_MAX }: AdminOperation = ADMIN_OPERATIONS[name]
        routes.post(`/${name}`, { bodyLimit }, async (request, reply) => {
          return answer(parts, name, request.body ?? {}, reply)
        })
      }
      routes.post('/:operation', async () => {
        throw new WochatError('unknown_operation')
      })
    },
    { prefix: PREFIX },
  )
}

function getOperation(text: string): AdminName {
  const name = findAdminOperation(text)
  if (name === undefined) throw new WochatError('unknown_operation')
  return name
}

async function answer(
  { service, log, signal }: AdminRouteParts,
  name: AdminName,
  params: unknown,
  reply: FastifyReply,
): Promise<FastifyReply> {
  reply.header('cache-control', 'no-store')
  if (name === 'trace') return stream(service, params, signal, reply)
  const result = await service.call(name, params)
  const { kind, unlogged = [] }: AdminOperation = ADMIN_OPERATIONS[name]
  if (kind === 'change') {
    const shown = Object.entries(params as object).filter(([key]) => !unlogged.includes(key))
    log.info({ op: name, params: Object.fromEntries(shown) }, 'an operator changed something')
  }
  return reply.send(result)
}

// ---------------------------------------------------------------- streams

async function stream(
  service: AdminService,
  params: unknown,
  signal: AbortSignal,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  const lines = service.trace(params, AbortSignal.any([signal, gone.signal]))
  // Its first line is awaited here, so that a refusal is answered as one.
  const first = await lines.next()
  return reply.type('application/x-ndjson').send(Readable.from(encodeLines(first, lines)))
}

async function* encodeLines(
  first: IteratorResult<TraceLine>,
  rest: AsyncGenerator<TraceLine>,
): AsyncGenerator<string> {
  try {
    if (first.done !== true) yield `${JSON.stringify(first.value)}\n`
    for await (const line of rest) yield `${JSON.stringify(line)}\n`
  } finally {
    await rest.return(undefined)
  }
}

// ---------------------------------------------------------------- what comes in

function readBodies(routes: FastifyInstance): void {
  routes.removeAllContentTypeParsers()
  const parse = async (_request: unknown, body: Buffer): Promise<unknown> => {
    if (body.length === 0) return {}
    try {
      return JSON.parse(UTF8.decode(body)) as unknown
    } catch {
      throw new WochatError('bad_json')
    }
  }
  routes.addContentTypeParser('application/json', { parseAs: 'buffer' }, parse)
}

const NUMBER = /^-?\d{1,16}(\.\d{1,16})?$/

/** A query is text; numbers are read as such where the schema wants one. */
function readQuery(name: AdminName, query: Record<string, unknown>): Record<string, unknown> {
  const { properties } = ADMIN_OPERATIONS[name].params as TObject
  const entries = Object.entries(query).map(([key, value]) => {
    const { type } = (properties[key] ?? {}) as { type?: string }
    const isNumber =
      (type === 'integer' || type === 'number') && typeof value === 'string' && NUMBER.test(value)
    return [key, isNumber ? Number(value) : value]
  })
  return Object.fromEntries(entries)
}

function refuseForeignPages({ headers }: FastifyRequest, hostNames: readonly string[]): void {
  const host = hostOf(`http://${headers.host ?? ''}`)
  const isOurs =
    host !== null && (isAddress(host.name) || host.name === 'localhost' || hostNames.includes(host.name))
  if (!isOurs) {
    throw new WochatError(
      'forbidden',
      'the admin port is called by its address, localhost or the host of adminUrl',
    )
  }
  if (headers.origin !== undefined && hostOf(headers.origin)?.full !== host.full) {
    throw new WochatError('forbidden', 'pages of other sites may not call the admin port')
  }
}

function hostOf(url: string): { name: string; full: string } | null {
  if (!URL.canParse(url)) return null
  const { hostname, host } = new URL(url)
  return { name: hostname, full: host }
}

function isAddress(name: string): boolean {
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0
}

// ---------------------------------------------------------------- refusals

function answerErrors(routes: FastifyInstance, log: Pick<Logger, 'error'>): void {
  routes.setErrorHandler(async (error: FastifyError, request, reply) => {
    const refusal = readFailure(error)
    if (refusal.code === 'internal') {
      log.error({ err: refusal.cause ?? error, route: request.routeOptions.url }, 'an admin operation failed')
    }
    return reply
      .header('cache-control', 'no-store')
      .code(ERRORS[refusal.code].http)
      .send({ error: refusal.toWire() })
  })
}

function readFailure(error: FastifyError): WochatError {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new WochatError('too_large')
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new WochatError('bad_json', 'the content-type of an operation is application/json')
  }
  if (error instanceof WochatError) return error
  if ((error.statusCode ?? 500) < 500) return new WochatError('bad_request', 'the request is malformed')
  return asWochatError(error)
}
