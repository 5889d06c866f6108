/**
 * A message on its way in: the payload of `u/{uid}/send` and the parameters of `messages.send`.
 *
 * `{"id"?, "to", "type", "body"}`, or the short form `{"id"?, "to", "text"}`. `to` is a uid, `g:...` or a
 * conversation id. `transient: true` asks for those who are online, and nothing is stored. Unknown fields are refused, so
 * that a misspelt one is noticed; what a body holds is said in message-types.ts.
 */
import { Type } from 'typebox'
import { WochatError } from './errors.ts'
import { buildDirectLog, type LogId, parseLog, parseUserId, peerOf, type UserId } from './ids.ts'
import { CLIENT_ID_CHARS_MAX } from './limits.ts'
import { assertOwnWords, assertText, checkBody, type SendMarks, TYPE_PATTERN } from './message-types.ts'

export { TYPE_PATTERN }

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
    text: Type.Optional(
      Type.String({ minLength: 1, description: 'Short form of `type: "text", body: {text}`.' }),
    ),
    transient: Type.Optional(
      Type.Boolean({ description: 'Not stored: only devices that are online get it, as a live event.' }),
    ),
  },
  { additionalProperties: false },
)

/** Where a message goes: the log, and for a direct one the other person (the sender, for notes to self). */
export type Target = { log: LogId; peer: UserId | null }

export type Send = {
  id: string | null
  target: Target
  type: string
  bodyJson: string
  /** What the store has to know of it; null for a plain message. */
  marks: SendMarks | null
}

const FIELDS: ReadonlySet<string> = new Set(['id', 'to', 'type', 'body', 'text', 'transient'])

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
  const { id, to, type, body, text, transient } = value as Record<string, unknown>
  if (id !== undefined && (typeof id !== 'string' || id.length === 0 || id.length > CLIENT_ID_CHARS_MAX)) {
    throw new WochatError('bad_request', `id: a string of 1 to ${CLIENT_ID_CHARS_MAX} characters`)
  }
  if (typeof to !== 'string') throw new WochatError('bad_request', 'to: a uid, a group or a conversation id')
  if (id?.isWellFormed() === false) throw new WochatError('bad_request', 'id: not well-formed Unicode')
  const target = parseTarget(to, sender)
  if (target === undefined)
    throw new WochatError('bad_request', 'to: not a uid, a group or a conversation of the sender')
  const send = readContent(id ?? null, target, type, body, text)
  if (send.marks !== null) assertExpiry(send.marks, target, sender)
  if (transient !== undefined) markTransient(send, transient)
  return send
}

function readContent(id: string | null, target: Target, type: unknown, body: unknown, text: unknown): Send {
  if (text !== undefined) {
    if (body !== undefined || (type !== undefined && type !== 'text')) {
      throw new WochatError(
        'bad_request',
        'text is the short form of a text message: give text, or type and body',
      )
    }
    assertText(text)
    return { id, target, type: 'text', bodyJson: `{"text":${JSON.stringify(text)}}`, marks: null }
  }
  if (type !== undefined && (typeof type !== 'string' || !TYPE.test(type))) {
    throw new WochatError('bad_request', 'type: [a-z][a-z0-9_.:-]*, at most 64 characters')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new WochatError('bad_request', 'body: a JSON object')
  }
  const kind = type ?? 'text'
  assertOwnWords(kind, body as Record<string, unknown>)
  const marks = checkBody(kind, body as Record<string, unknown>)
  return { id, target, type: kind, bodyJson: JSON.stringify(body), marks }
}

/** "After it was read" needs one other reader. */
function assertExpiry({ expire }: SendMarks, { peer }: Target, sender: UserId): void {
  if (expire?.afterReadMs !== undefined && (peer === null || peer === sender)) {
    throw new WochatError('bad_request', 'body.expire.afterReadMs: only in a direct conversation')
  }
}

function markTransient(send: Send, transient: unknown): void {
  if (typeof transient !== 'boolean') throw new WochatError('bad_request', 'transient: true or false')
  if (transient) send.marks = { ...send.marks, transient: true }
}

/** `to` of a send: a uid, `g:...`, or a direct conversation that the sender is part of. */
export function parseTarget(to: string, sender: UserId): Target | undefined {
  const peer = parseUserId(to)
  if (peer !== undefined) return { log: buildDirectLog(sender, peer), peer }
  const parsed = parseLog(to)
  if (parsed?.kind === 'group') return { log: parsed.log, peer: null }
  if (parsed?.kind !== 'direct' || (parsed.a !== sender && parsed.b !== sender)) return undefined
  return { log: parsed.log, peer: peerOf(parsed.log, sender) }
}
