/**
 * The types of messages, and what the body of each holds.
 *
 * Every body may have the fields of {@link CommonSchema}. A type that is not in {@link MESSAGE_TYPES} is the app's own,
 * with the prefix `custom:` or without: of its body only the common fields are looked at. A type of ours may have
 * further fields, too, which are kept as they are.
 *
 * A plain text is checked by hand, because it is most of what is sent; all else by its compiled schema.
 */
import { type TObject, Type } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { isWithinDepth } from './depth.ts'
import { WochatError } from './errors.ts'
import { firstFault } from './fault.ts'
import { LOG_PATTERN, parseUserId, UID_PATTERN, type UserId } from './ids.ts'
import {
  EXPIRE_MS_MAX,
  EXPIRE_MS_MIN,
  FORWARDED_MAX,
  JSON_DEPTH_MAX,
  MEDIA_PER_MESSAGE_MAX,
  MENTIONS_MAX,
  TEXT_BYTES_MAX,
  TYPE_CHARS_MAX,
} from './limits.ts'

export const TYPE_PATTERN = `^[a-z][a-z0-9_.:-]{0,${TYPE_CHARS_MAX - 1}}$`

const MEDIA_ID_PATTERN = '^[A-Za-z0-9_-]{1,64}$'
/** Characters of what stands under a picture, of a name and of an address on the web. */
const CAPTION_CHARS_MAX = 4096
const NAME_CHARS_MAX = 255
const URL_CHARS_MAX = 2048
const SIDE_PIXELS_MAX = 100_000
const DURATION_MS_MAX = 24 * 60 * 60 * 1000
const FILE_BYTES_MAX = 2 ** 40

// ---------------------------------------------------------------- fields

const media = Type.String({ pattern: MEDIA_ID_PATTERN, description: 'A file of `media.*`, by its id.' })
const url = Type.String({
  pattern: '^https?://',
  minLength: 9,
  maxLength: URL_CHARS_MAX,
  description: 'An address on the web, `http:` or `https:`.',
})
const caption = Type.Optional(Type.String({ maxLength: CAPTION_CHARS_MAX }))
const pixels = Type.Optional(Type.Integer({ minimum: 1, maximum: SIDE_PIXELS_MAX }))
const durationMs = Type.Optional(Type.Integer({ minimum: 0, maximum: DURATION_MS_MAX }))

/** A message that shows a file says where it is: here, by `media`, or elsewhere, by `url`. */
const file = {
  media: Type.Optional(media),
  url: Type.Optional(url),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: NAME_CHARS_MAX })),
  size: Type.Optional(Type.Integer({ minimum: 0, maximum: FILE_BYTES_MAX, description: 'Bytes.' })),
  caption,
}

const expireMs = (description: string) =>
  Type.Optional(Type.Integer({ minimum: EXPIRE_MS_MIN, maximum: EXPIRE_MS_MAX, description }))

const ForwardedSchema = Type.Array(
  Type.Object({
    from: Type.Optional(
      Type.String({
        pattern: UID_PATTERN,
        description: 'Who wrote it. Missing, with an empty body, of an account that was erased.',
      }),
    ),
    at: Type.Integer({ minimum: 0, description: 'When, ms since 1970.' }),
    type: Type.Optional(Type.String({ pattern: TYPE_PATTERN })),
    body: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  }),
  {
    minItems: 1,
    maxItems: FORWARDED_MAX,
    description:
      'Where the message was before, written by `messages.forward` alone. One item without a body: the message itself is the copy. With bodies: what is forwarded together; one of these may hold forwarded messages again.',
  },
)

/** What every body may have, of whatever type. */
export const CommonSchema = Type.Object({
  mentions: Type.Optional(
    Type.Union(
      [Type.Array(Type.String({ pattern: UID_PATTERN }), { maxItems: MENTIONS_MAX }), Type.Literal('all')],
      { description: 'Whom the message calls, by uid; `"all"` is every member.' },
    ),
  ),
  replyTo: Type.Optional(
    Type.Object(
      {
        seq: Type.Integer({ minimum: 1 }),
        log: Type.Optional(
          Type.String({ pattern: LOG_PATTERN, description: 'Default: the log it is sent to.' }),
        ),
      },
      { description: 'The entry that the message answers; the sender must be able to see it.' },
    ),
  ),
  forwarded: Type.Optional(ForwardedSchema),
  media: Type.Optional(media),
  expire: Type.Optional(
    Type.Object(
      {
        afterReadMs: expireMs('From when the other person has read it; of direct conversations.'),
        afterMs: expireMs('From when it was sent.'),
      },
      { additionalProperties: false, description: 'When the message loses its content, for everybody.' },
    ),
  ),
})

// ---------------------------------------------------------------- types

type MessageType = { readonly summary: string; readonly body: TObject }

/** In the order in which the reference lists them. */
export const MESSAGE_TYPES = {
  text: {
    summary: `Plain text of at most ${TEXT_BYTES_MAX} bytes in UTF-8.`,
    body: Type.Object({ text: Type.String({ minLength: 1 }) }),
  },
  image: {
    summary: 'A picture: `media` or `url`.',
    body: Type.Object({ ...file, width: pixels, height: pixels }),
  },
  audio: {
    summary: 'Sound, such as a voice message: `media` or `url`.',
    body: Type.Object({ ...file, durationMs }),
  },
  video: {
    summary: 'A film: `media` or `url`.',
    body: Type.Object({ ...file, width: pixels, height: pixels, durationMs }),
  },
  file: { summary: 'Any other file: `media` or `url`.', body: Type.Object(file) },
  location: {
    summary: 'A place.',
    body: Type.Object({
      lat: Type.Number({ minimum: -90, maximum: 90, description: 'Degrees.' }),
      lng: Type.Number({ minimum: -180, maximum: 180, description: 'Degrees.' }),
      label: Type.Optional(Type.String({ maxLength: CAPTION_CHARS_MAX })),
    }),
  },
  contact: {
    summary: 'The card of an account.',
    body: Type.Object({ uid: Type.String({ pattern: UID_PATTERN }), name: file.name }),
  },
  link: {
    summary: 'A page of the web, with what a preview shows.',
    body: Type.Object({
      url,
      title: Type.String({ minLength: 1, maxLength: NAME_CHARS_MAX }),
      text: Type.Optional(Type.String({ maxLength: CAPTION_CHARS_MAX })),
      media: Type.Optional(media),
    }),
  },
  forward: {
    summary: 'Several messages forwarded together; only `messages.forward` makes them.',
    body: Type.Object({
      title: Type.Optional(Type.String({ maxLength: NAME_CHARS_MAX })),
      forwarded: ForwardedSchema,
    }),
  },
} as const satisfies Readonly<Record<string, MessageType>>

const TYPES: ReadonlyMap<string, MessageType> = new Map(Object.entries(MESSAGE_TYPES))
const FILE_TYPES: ReadonlySet<string> = new Set(['image', 'audio', 'video', 'file'])

// ---------------------------------------------------------------- what the store has to know

/** What a message asks of the store beside being stored. */
export type SendMarks = {
  mentions?: 'all' | readonly UserId[]
  replyTo?: { log: string | null; seq: number }
  /** Whose words it forwards. */
  origins?: readonly UserId[]
  /** Files that it carries. */
  media?: readonly string[]
  expire?: { afterReadMs?: number; afterMs?: number }
  /** Accepted, and shown to its author alone. */
  withheld?: true
  /** Not stored: only whether its author may write is decided. */
  transient?: true
  /** Its body is not the one that was sent, which has this hash: by that a repeated send is known. */
  sentHash?: string
  /** Screening refuses it: accepted only if it was stored before, under its id. */
  refused?: true
}

type Body = Readonly<Record<string, unknown>>
type Forwarded = { from?: unknown; body?: Body }[]

// ---------------------------------------------------------------- checking

/**
 * Checks the body of a message of a type; answers what the store has to know of it, which is null for a plain one.
 * Throws {@link WochatError} `bad_request`, which names the field, or `too_deep`.
 */
export function checkBody(type: string, body: Body): SendMarks | null {
  if (type === 'text') {
    assertText(body.text)
    if (hasOnlyText(body)) return null
  }
  if (!isWithinDepth(body, JSON_DEPTH_MAX - 1)) {
    throw new WochatError('too_deep', `JSON may be nested ${JSON_DEPTH_MAX} levels deep`)
  }
  assertType(type, body)
  assertSchema('', CommonSchema, body)
  return readMarks(body)
}

/**
 * Where a copy is from is written by `messages.forward` alone, so that nobody puts words into another's mouth. Throws
 * `bad_request` for a body that says so itself.
 */
export function assertOwnWords(type: string, body: Body): void {
  if (type !== 'forward' && body.forwarded === undefined) return
  throw new WochatError('bad_request', 'body.forwarded: written by messages.forward, which makes the copies')
}

/** What {@link checkBody} found of a message that is stored, and may be from before there were these fields. */
export function findMarks(type: string, body: object): SendMarks | null {
  try {
    return checkBody(type, body as Body)
  } catch {
    return null
  }
}

function readMarks(body: Body): SendMarks | null {
  const { mentions, replyTo, forwarded, media, expire } = body
  const marks: SendMarks = {}
  if (mentions === 'all') marks.mentions = 'all'
  else if (Array.isArray(mentions) && mentions.length > 0) marks.mentions = [...new Set(mentions)]
  if (replyTo !== undefined) {
    const { log = null, seq } = replyTo as { log?: string; seq: number }
    marks.replyTo = { log, seq }
  }
  const files = new Set<string>()
  if (media !== undefined) files.add(media as string)
  if (forwarded !== undefined) addForwardedFiles(forwarded as Forwarded, files)
  if (files.size > 0) marks.media = [...files]
  if (forwarded !== undefined) {
    const origins = new Set<UserId>()
    addOrigins(forwarded as Forwarded, origins)
    if (origins.size > 0) marks.origins = [...origins]
  }
  if (expire !== undefined) marks.expire = expire as NonNullable<SendMarks['expire']>
  for (const _ in marks) return marks
  return null
}

/** Throws `bad_request` for a text that is none, empty or too long. */
export function assertText(text: unknown): void {
  if (typeof text !== 'string') throw new WochatError('bad_request', 'body.text: a string')
  if (text.length === 0) throw new WochatError('bad_request', 'body.text: empty')
  // Each UTF-16 unit is at most 3 bytes: nearly no text has to be counted.
  if (text.length * 3 > TEXT_BYTES_MAX && new TextEncoder().encode(text).length > TEXT_BYTES_MAX) {
    throw new WochatError('bad_request', `body.text: more than ${TEXT_BYTES_MAX} bytes`)
  }
}

function hasOnlyText(body: Body): boolean {
  for (const field in body) if (field !== 'text') return false
  return true
}

function assertType(type: string, body: Body): void {
  const known = TYPES.get(type)
  if (known === undefined) return
  assertSchema(type, known.body, body)
  if (FILE_TYPES.has(type) && body.media === undefined && body.url === undefined) {
    throw new WochatError('bad_request', 'body.media: missing; or give body.url')
  }
}

const VALIDATORS = new Map<string, Validator>()

/** `key` names the schema: compiled at its first use and kept. */
function assertSchema(key: string, schema: TObject, body: Body): void {
  let validator = VALIDATORS.get(key)
  if (validator === undefined) {
    validator = Compile(schema) as Validator
    VALIDATORS.set(key, validator)
  }
  if (!validator.Check(body)) throw new WochatError('bad_request', firstFault(validator, body, 'body'))
  if (key === '') assertCommon(body)
}

/** What the schema of the common fields cannot say. */
function assertCommon({ mentions, forwarded }: Body): void {
  if (Array.isArray(mentions) && !mentions.every((uid) => parseUserId(uid) !== undefined)) {
    throw new WochatError('bad_request', 'body.mentions: not a uid')
  }
  if (forwarded === undefined) return
  const files = new Set<string>()
  for (const [i, { body }] of (forwarded as Forwarded).entries()) {
    if (body?.forwarded === undefined) continue
    const path = `body.forwarded.${i}.body.forwarded`
    if (!Array.isArray(body.forwarded) || body.forwarded.length > FORWARDED_MAX) {
      throw new WochatError('bad_request', `${path}: at most ${FORWARDED_MAX} messages`)
    }
    if (body.forwarded.some((inner) => (inner as { body?: Body } | null)?.body?.forwarded !== undefined)) {
      throw new WochatError('bad_request', `${path}: nested more than once`)
    }
  }
  addForwardedFiles(forwarded as Forwarded, files)
  if (files.size >= MEDIA_PER_MESSAGE_MAX) {
    throw new WochatError('bad_request', `body.forwarded: more than ${MEDIA_PER_MESSAGE_MAX} files`)
  }
}

const MEDIA_ID = new RegExp(MEDIA_ID_PATTERN)

/** The inner bodies are of any shape: what is no id of a file is left out. */
function addForwardedFiles(forwarded: Forwarded, files: Set<string>): void {
  for (const item of forwarded) {
    const body = (item as { body?: Body } | null)?.body
    if (typeof body !== 'object' || body === null) continue
    if (typeof body.media === 'string' && MEDIA_ID.test(body.media)) files.add(body.media)
    if (Array.isArray(body.forwarded)) addForwardedFiles(body.forwarded as Forwarded, files)
  }
}

/** Whose words are forwarded, at any depth: of inner bodies, too, which are of any shape. */
function addOrigins(forwarded: Forwarded, origins: Set<UserId>): void {
  for (const item of forwarded) {
    if (typeof item !== 'object' || item === null) continue
    const uid = typeof item.from === 'string' ? parseUserId(item.from) : undefined
    if (uid !== undefined) origins.add(uid)
    if (Array.isArray(item.body?.forwarded)) addOrigins(item.body.forwarded as Forwarded, origins)
  }
}
