/**
 * Files over HTTP: the parts of an upload are PUT, files and thumbnails are read, whole or in ranges [RFC 9110 14.2].
 * Bodies go through in streams, and a file that could run something in a page is only for saving.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WochatError } from '../../protocol/errors.ts'
import { HTTP_ROUTES } from '../../protocol/http-routes.ts'
import type { UserId } from '../../protocol/ids.ts'
import { type CallContext, callerOf, type Dispatcher } from '../dispatcher.ts'
import type { MediaLinks } from '../media/links.ts'
import type { MediaService } from '../media/media-service.ts'
import { isShown } from '../media/types.ts'
import type { MediaView } from '../store/operations/media/rows.ts'
import { type AskedRange, parseRange } from './byte-range.ts'
import { routeUrl } from './route-url.ts'

export type MediaRoutes = { service: MediaService; links: MediaLinks }

type RouteParts = MediaRoutes & {
  dispatcher: Dispatcher
  contextOf: (request: FastifyRequest, withToken: boolean) => Promise<CallContext>
}

type PartRequest = FastifyRequest<{ Params: { id: string; part: string } }>
type FileRequest = FastifyRequest<{ Params: { id: string }; Querystring: Record<string, unknown> }>

/** How long a browser shows a file without asking again; after a recall it may show its own copy for so long. */
const CACHED_S = 600
const THUMBNAIL_TYPE = 'image/webp'
/** Of a file that is opened as a page of its own. */
const FILE_POLICY = "default-src 'none'; sandbox"

export function serveMedia(app: FastifyInstance, parts: RouteParts): void {
  void app.register(async (scope) => {
    // Bodies of any type are left as they are: the handler reads them.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    scope.put(routeUrl('media.putPart'), (request: PartRequest, reply) => takePart(parts, request, reply))
  })
  app.route({
    method: [...HTTP_ROUTES['media.read'].methods],
    url: routeUrl('media.read'),
    handler: (request: FileRequest, reply) => sendFile(parts, request, reply),
  })
}

// ---------------------------------------------------------------- a part comes

/** Counts as a call of `media.get`, and is refused as that is. */
async function takePart(
  { service, dispatcher, contextOf }: RouteParts,
  request: PartRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { id } = request.params
  const context = await contextOf(request, true)
  const view = (await dispatcher.call('media.get', { id }, context)) as MediaView
  if (view.state !== 'uploading') throw new WochatError('unknown_media')
  const part = /^\d{1,5}$/.test(request.params.part) ? Number(request.params.part) : 0
  const bytes = Number(request.headers['content-length'] ?? Number.NaN)
  await service.putPart({ uid: callerOf(context).uid, id, part, bytes, body: request.raw })
  return reply.header('cache-control', 'no-store').send({})
}

// ---------------------------------------------------------------- a file goes

async function sendFile(
  { service, ...parts }: RouteParts,
  request: FileRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { id } = request.params
  const view = await service.find(await readerOf(parts, request), id)
  const isThumbnail = request.query.thumbnail !== undefined
  if (isThumbnail && !view.thumbnail) throw new WochatError('unknown_media', 'the file has no thumbnail')
  const etag = `"${view.sha256.slice(0, 32)}${isThumbnail ? '-t' : ''}"`
  reply.headers({ etag, 'cache-control': `private, max-age=${CACHED_S}` })
  if (names(request.headers['if-none-match'], etag)) return reply.code(304).send()
  reply.header('content-security-policy', FILE_POLICY)
  if (isThumbnail) {
    reply.header('content-type', THUMBNAIL_TYPE)
    return send(request, reply, () => service.readThumbnail(id))
  }
  reply.headers({
    'content-type': view.type,
    'content-disposition': dispositionOf(view),
    'accept-ranges': 'bytes',
  })
  const range = rangeOf(request, etag, view.bytes)
  if (range === 'outside') {
    reply.header('content-range', `bytes */${view.bytes}`)
    throw new WochatError('bad_range')
  }
  if (range === null) {
    reply.header('content-length', view.bytes)
    return send(request, reply, () => service.read(id))
  }
  const { start, end } = range
  reply.code(206).headers({
    'content-range': `bytes ${start}-${end}/${view.bytes}`,
    'content-length': end - start + 1,
  })
  return send(request, reply, () => service.read(id, range))
}

/** The person of a signed link, or of the token. */
async function readerOf(
  { links, dispatcher, contextOf }: Omit<RouteParts, 'service'>,
  request: FileRequest,
): Promise<UserId> {
  const { id } = request.params
  const { uid, expires, signature } = request.query
  if (typeof uid === 'string' && typeof expires === 'string' && typeof signature === 'string')
    return links.verify(id, { uid, expires, signature })
  const context = await contextOf(request, true)
  await dispatcher.call('media.get', { id }, context)
  return callerOf(context).uid
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  open: () => ReturnType<MediaService['read']>,
): Promise<FastifyReply> {
  return request.method === 'HEAD' ? reply.send() : reply.send(await open())
}

function rangeOf(request: FastifyRequest, etag: string, bytes: number): AskedRange {
  const condition = request.headers['if-range']
  if (condition !== undefined && condition !== etag) return null
  return parseRange(request.headers.range, bytes)
}

/** Whether `if-none-match` names this version. */
function names(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((item) => item.trim() === '*' || item.trim().replace(/^W\//, '') === etag)
}

/** With the name in full for browsers of today, and in ASCII for others [RFC 6266]. */
function dispositionOf({ type, name }: MediaView): string {
  const kind = isShown(type) ? 'inline' : 'attachment'
  if (name === undefined) return kind
  const ascii = name.replace(/[^\x20-\x7e]|["\\]/g, '_')
  const full = encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, hexOf)
  return `${kind}; filename="${ascii}"; filename*=UTF-8''${full}`
}

const hexOf = (letter: string): string => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`
