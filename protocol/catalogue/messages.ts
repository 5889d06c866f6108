/** Messages: sending, now or later, and forwarding. What becomes of them is in message-life.ts, reading them in history.ts. */
import { Type } from 'typebox'
import {
  CLIENT_ID_CHARS_MAX,
  FORWARD_COPIES_MAX,
  FORWARD_TARGETS_MAX,
  FORWARDED_MAX,
  LIST_ITEMS_MAX,
  SCHEDULED_MAX,
} from '../limits.ts'
import { SendSchema } from '../send.ts'
import { Empty, Log, operation, RequestId, request, Seq } from './operation.ts'

/** Of a call whose messages have ids: these make that it takes effect once. */
const requestIdOf = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: CLIENT_ID_CHARS_MAX, description }))

/** What a send may be refused for, whichever way it comes. */
const SEND_ERRORS = [
  'id_conflict',
  'unknown_user',
  'not_friends',
  'blocked',
  'account_inactive',
  'unknown_group',
  'not_member',
  'muted',
  'not_admin',
  'transient_only',
  'unknown_entry',
  'unknown_media',
  'content_refused',
  'screening_away',
] as const

export const messageOperations = {
  'messages.send': operation({
    summary: 'Send a message; the answer means that it is on disk.',
    access: 'user',
    mutating: true,
    params: SendSchema,
    result: Type.Object({
      log: Type.String(),
      seq: Type.Integer({ description: '0 of a transient message.' }),
      at: Type.Integer(),
      transient: Type.Optional(Type.Boolean()),
    }),
    errors: SEND_ERRORS,
  }),
  'messages.forward': operation({
    summary: 'Copy messages that I see to other conversations, one by one or as one message.',
    access: 'user',
    mutating: true,
    rate: 'costly',
    params: request({
      log: Log,
      seqs: Type.Array(Seq, {
        minItems: 1,
        maxItems: FORWARDED_MAX,
        uniqueItems: true,
        description: 'Of messages that still have their content; they go out in the order of the log.',
      }),
      to: Type.Array(SendSchema.properties.to, {
        minItems: 1,
        maxItems: FORWARD_TARGETS_MAX,
        description: `At most ${FORWARD_COPIES_MAX} copies are made by one call.`,
      }),
      merged: Type.Optional(
        Type.Boolean({ description: 'One message of type `forward` that holds them all.' }),
      ),
      title: Type.Optional(Type.String({ maxLength: 255, description: 'Of a merged one.' })),
      requestId: requestIdOf(
        'Idempotency: under the same id each copy is made once. Where another one was made under it, `refused` is `id_conflict`.',
      ),
    }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          to: Type.String(),
          seqs: Type.Array(Type.Integer(), { description: 'Of the copies, in that conversation.' }),
          refused: Type.Optional(Type.String({ description: 'Why no more were made: an error code.' })),
        }),
        { description: 'One for each of `to`, in its order.' },
      ),
    }),
    errors: ['unknown_log', 'unknown_entry', 'recalled', 'forbidden'],
  }),
  'messages.schedule': operation({
    summary: 'Have the server send a message later.',
    access: 'user',
    mutating: true,
    params: request({
      id: SendSchema.properties.id,
      to: SendSchema.properties.to,
      type: SendSchema.properties.type,
      body: SendSchema.properties.body,
      text: SendSchema.properties.text,
      at: Type.Integer({ minimum: 0, description: 'When, ms since 1970; within a year.' }),
      requestId: requestIdOf('Stands for `id` where that is not given.'),
    }),
    result: Type.Object({
      id: Type.String({ description: 'To take it back; the message will have it, too.' }),
    }),
    errors: ['id_conflict', 'too_many_scheduled', 'content_refused', 'screening_away'],
  }),
  'messages.scheduled': operation({
    summary: 'Messages that I planned and that are not sent yet, the next one first.',
    access: 'user',
    mutating: false,
    params: request({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIST_ITEMS_MAX })),
      cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}\\.[0-9]{1,15}$' })),
    }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String(),
          to: Type.String({ description: 'The conversation.' }),
          type: Type.String(),
          body: Type.Unknown(),
          at: Type.Integer(),
        }),
        { description: `An account has at most ${SCHEDULED_MAX}.` },
      ),
      cursor: Type.Optional(Type.String({ description: 'There are more: ask with it.' })),
    }),
    errors: [],
  }),
  'messages.unschedule': operation({
    summary: 'Take a planned message back before it is sent.',
    access: 'user',
    mutating: true,
    params: request({
      id: Type.String({ minLength: 1, maxLength: CLIENT_ID_CHARS_MAX }),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_schedule'],
  }),
} as const
