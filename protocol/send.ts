/**
 * A message on its way in: the payload of `u/{uid}/send` and the parameters of `messages.send`.
 *
 * `{"id"?, "to", "type", "body"}`, or the short form `{"id"?, "to", "text"}`. `to` is a uid, `g:...` or a
 * conversation id. Unknown fields are refused, so that a misspelt one is noticed.
 */
import { Type } from 'typebox'
import { WochatError } from './errors.ts'
import { buildDirectLog, type LogId, parseLog, parseUserId, type UserId } from './ids.ts'
import { CLIENT_ID_CHARS_MAX, JSON_DEPTH_MAX, TYPE_CHARS_MAX } from './limits.ts'

export const TYPE_PATTERN = `^[a-z][a-z0-9_.:-]{0,${TYPE_CHARS_MAX - 1}}$`
const TYPE = new RegExp(TYPE_PATTERN)

export const SendSchema = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: CLIENT_ID_CHARS_MAX,
        description:
          'Idempotency: the same id with the same content is stored once and answered with the same seq.',
      }),
    ),
    to: Type.String({
      minLength: 1,
      maxLength: 131,
      description: 'A uid, a group `g:...` or a conversation id.',
    }),
    type: Type.Optional(Type.String({ pattern: TYPE_PATTERN, description: 'Default `text`.' })),
    body: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'The content, by type.' })),
    text: Type.Optional(Type.String({ description: 'Short form of `type: "text", body: {text}`.' })),
  },
  { additionalProperties: false },
)

/** Where a message goes: the log, and for a direct one the other person (the sender, for notes to self). */
export type Target = { log: LogId; peer: UserId | null }

export type Send = { id: string | null; target: Target; type: string; bodyJson: string }

const FIELDS: ReadonlySet<string> = new Set(['id', 'to', 'type', 'body', 'text'])

/**
 * Reads a send that is already parsed JSON. Throws {@link WochatError} `bad_request` or `too_deep`.
 * Written by hand because it runs once per message; a test holds it equal to {@link SendSchema}.
 */
export function readSend(value: unknown, sender: UserId): Send {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WochatError('bad_json', 'a send is a JSON object')
  }
  for (const key in value)
    if (!FIELDS.has(key)) throw new WochatError('bad_request', 'unknown field in a send')
  const { id, to, type, body, text } = value as Record<string, unknown>
  if (id !== undefined && (typeof id !== 'string' || id.length === 0 || id.length > CLIENT_ID_CHARS_MAX)) {
    throw new WochatError('bad_request', `id: a string of 1 to ${CLIENT_ID_CHARS_MAX} characters`)
  }
  if (typeof to !== 'string') throw new WochatError('bad_request', 'to: a uid, a group or a conversation id')
  if (id?.isWellFormed() === false) throw new WochatError('bad_request', 'id: not well-formed Unicode')
  const target = parseTarget(to, sender)
  if (target === undefined)
    throw new WochatError('bad_request', 'to: not a uid, a group or a conversation of the sender')
  return { id: id ?? null, target, ...readContent(type, body, text) }
}

function readContent(type: unknown, body: unknown, text: unknown): { type: string; bodyJson: string } {
  if (text !== undefined) {
    if (typeof text !== 'string') throw new WochatError('bad_request', 'text: a string')
    if (body !== undefined || (type !== undefined && type !== 'text')) {
      throw new WochatError(
        'bad_request',
        'text is the short form of a text message: give text, or type and body',
      )
    }
    return { type: 'text', bodyJson: `{"text":${JSON.stringify(text)}}` }
  }
  if (type !== undefined && (typeof type !== 'string' || !TYPE.test(type))) {
    throw new WochatError('bad_request', 'type: [a-z][a-z0-9_.:-]*, at most 64 characters')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new WochatError('bad_request', 'body: a JSON object')
  }
  const kind = type ?? 'text'
  if (kind === 'text' && typeof (body as Record<string, unknown>).text !== 'string') {
    throw new WochatError('bad_request', 'body.text: a string')
  }
  if (!isWithinDepth(body, JSON_DEPTH_MAX - 1)) {
    throw new WochatError('too_deep', `JSON may be nested ${JSON_DEPTH_MAX} levels deep`)
  }
  return { type: kind, bodyJson: JSON.stringify(body) }
}

/** `to` of a send: a uid, `g:...`, or a direct conversation that the sender is part of. */
export function parseTarget(to: string, sender: UserId): Target | undefined {
  const peer = parseUserId(to)
  if (peer !== undefined) return { log: buildDirectLog(sender, peer), peer }
  const parsed = parseLog(to)
  if (parsed?.kind === 'group') return { log: parsed.log, peer: null }
  if (parsed?.kind !== 'direct') return undefined
  if (parsed.a === sender) return { log: parsed.log, peer: parsed.b }
  if (parsed.b === sender) return { log: parsed.log, peer: parsed.a }
  return undefined
}

/** Whether `value` nests at most `levels` objects or arrays; stops at the first level too deep. */
export function isWithinDepth(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (levels === 0) return false
  for (const child of Object.values(value)) if (!isWithinDepth(child, levels - 1)) return false
  return true
}
