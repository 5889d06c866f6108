/** Admin operations of messages that a system account writes to everybody, or to many. */
import { type Static, Type } from 'typebox'
import { request, Uid } from '../catalogue/operation.ts'
import { CALL_USERS_MAX } from '../limits.ts'
import { TYPE_PATTERN } from '../send.ts'
import { define } from './operation.ts'

const BROADCAST_ID_CHARS_MAX = 40
/** Broadcasts that are listed; of those that ended, the last ones. */
export const BROADCASTS_LISTED_MAX = 100
const BROADCAST_STATES = ['running', 'done', 'stopped'] as const
const BODY_BYTES_MAX = 256 * 1024

const BroadcastId = Type.String({
  pattern: `^[A-Za-z0-9_-]{1,${BROADCAST_ID_CHARS_MAX}}$`,
  description: 'The broadcast, by a name that is used once.',
})
const Time = (description: string) => Type.Integer({ description: `${description} ms since 1970.` })
const When = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

export const BroadcastFilter = request({
  uids: Type.Optional(
    Type.Array(Uid, {
      minItems: 1,
      maxItems: CALL_USERS_MAX,
      uniqueItems: true,
      description: 'Only these.',
    }),
  ),
  registeredAfter: Type.Optional(When),
  registeredBefore: Type.Optional(When),
  kind: Type.Optional(Type.Enum(['person', 'bot'], { description: 'People if not given.' })),
})
export type BroadcastFilter = Static<typeof BroadcastFilter>

export const BroadcastRow = Type.Object({
  id: Type.String(),
  from: Type.String(),
  type: Type.String(),
  state: Type.Enum([...BROADCAST_STATES]),
  sent: Type.Integer({ description: 'Accounts that have it.' }),
  skipped: Type.Integer({ description: 'Accounts that do not take it, for they blocked the sender.' }),
  madeAt: Time('When it began,'),
  endedAt: Type.Union([Time('When it was done or stopped,'), Type.Null()]),
})

export type BroadcastRow = Static<typeof BroadcastRow>

export const broadcastOperations = {
  broadcast: define({
    summary:
      'Writes a message of a system account to every active account that there is now, or to those of a filter, each in their conversation with it. Repeated under one id it takes effect once.',
    kind: 'change',
    positional: ['id', 'from'],
    params: request({
      id: BroadcastId,
      from: Uid,
      type: Type.Optional(Type.String({ pattern: TYPE_PATTERN, description: 'Default `text`.' })),
      body: Type.Record(Type.String(), Type.Unknown(), {
        description:
          'The content, by type, as in a send of the account: files are its own or of its conversations. No `replyTo`.',
      }),
      filter: Type.Optional({
        ...BroadcastFilter,
        description:
          'To whom: `uids`, `registeredAfter` and `registeredBefore` in ms, `kind`; all people if not given.',
      }),
    }),
    result: BroadcastRow,
    errors: ['not_a_system_account', 'id_conflict', 'too_many_broadcasts', 'unknown_media'],
    unlogged: ['body'],
    bodyBytesMax: BODY_BYTES_MAX,
  }),
  broadcasts: define({
    summary: 'The broadcasts, the newest first, with how far each is.',
    kind: 'read',
    positional: [],
    params: request({}),
    result: Type.Object({ broadcasts: Type.Array(BroadcastRow) }),
    errors: [],
  }),
  stopBroadcast: define({
    summary: 'Ends a broadcast where it is; what was sent stays.',
    kind: 'change',
    positional: ['id'],
    params: request({ id: BroadcastId }),
    result: BroadcastRow,
    errors: ['unknown_broadcast'],
  }),
} as const
