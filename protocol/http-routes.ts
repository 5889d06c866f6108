/** What HTTP serves beside the operations of the catalogue: files and archives, which are no JSON. */

import type { TSchema } from 'typebox'
import { Type } from 'typebox'
import { COMMON_ERRORS } from './catalogue/operation.ts'
import type { ErrorCode } from './errors.ts'

type RouteParameter = {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly description: string
  readonly schema: TSchema
}

/** An answer: `content` is its media type, null for one without a body. */
export type RouteAnswer = {
  readonly description: string
  readonly content: string | null
  /** Of a JSON body; bytes have none. */
  readonly schema?: TSchema
}

export type HttpRoute = {
  readonly methods: readonly ('GET' | 'HEAD' | 'PUT')[]
  /** With `{name}` where a path parameter stands. */
  readonly path: string
  readonly summary: string
  /** A signed link stands for the token. */
  readonly takesLink: boolean
  /** Those of the path are required, others are not. */
  readonly parameters: readonly RouteParameter[]
  /** Media type of what is sent; null for nothing. */
  readonly body: string | null
  readonly answers: Readonly<Record<number, RouteAnswer>>
  /** Refusals of its own, beside {@link ROUTE_ERRORS}. */
  readonly errors: readonly ErrorCode[]
}

const OF_JSON_BODIES: ReadonlySet<ErrorCode> = new Set(['bad_json', 'too_deep', 'too_large'])

/** Refusals that every route may give: those of all operations, without those of a JSON body. */
export const ROUTE_ERRORS: readonly ErrorCode[] = COMMON_ERRORS.filter((code) => !OF_JSON_BODIES.has(code))

const MediaId: RouteParameter = {
  name: 'id',
  in: 'path',
  description: 'The file, as `media.create` named it.',
  schema: Type.String({ pattern: '^[0-9a-f]{32}$' }),
}

export const HTTP_ROUTES = {
  'media.putPart': {
    methods: ['PUT'],
    path: '/v1/media/{id}/parts/{part}',
    summary: 'One part of an upload. Sent again it takes the place of what was there.',
    takesLink: false,
    parameters: [
      MediaId,
      {
        name: 'part',
        in: 'path',
        description: 'From 1 on; all but the last have the size that `media.create` answered.',
        schema: Type.Integer({ minimum: 1 }),
      },
    ],
    body: '*/*',
    answers: {
      200: { description: 'The part is stored.', content: 'application/json', schema: Type.Object({}) },
    },
    errors: ['unknown_media', 'media_off'],
  },
  'media.read': {
    methods: ['GET', 'HEAD'],
    path: '/v1/media/{id}',
    summary: 'A file, or its thumbnail, for who may see it: whole, or a range of it.',
    takesLink: true,
    parameters: [
      MediaId,
      {
        name: 'thumbnail',
        in: 'query',
        description: 'The thumbnail, if it is there.',
        schema: Type.String(),
      },
      { name: 'uid', in: 'query', description: 'Of a link of `media.link`.', schema: Type.String() },
      { name: 'expires', in: 'query', description: 'Of a link of `media.link`.', schema: Type.String() },
      { name: 'signature', in: 'query', description: 'Of a link of `media.link`.', schema: Type.String() },
      { name: 'range', in: 'header', description: 'One range of bytes.', schema: Type.String() },
      { name: 'if-none-match', in: 'header', description: 'An `etag` known.', schema: Type.String() },
      { name: 'if-range', in: 'header', description: 'Without this `etag`, all.', schema: Type.String() },
    ],
    body: null,
    answers: {
      200: { description: 'The file, of its own type; a thumbnail is image/webp.', content: '*/*' },
      206: { description: 'The range that `content-range` names.', content: '*/*' },
      304: { description: 'It is what `if-none-match` knows.', content: null },
    },
    errors: ['unknown_media', 'bad_range'],
  },
  'accounts.archive': {
    methods: ['GET'],
    path: '/v1/export',
    summary: 'Everything that is mine as one archive; where `accounts.export` points.',
    takesLink: false,
    parameters: [],
    body: null,
    answers: { 200: { description: 'A .tar.gz of JSON lines.', content: 'application/gzip' } },
    errors: [],
  },
} as const satisfies Record<string, HttpRoute>

export type RouteName = keyof typeof HTTP_ROUTES

export const ROUTE_NAMES = Object.keys(HTTP_ROUTES) as RouteName[]
