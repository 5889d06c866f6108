/** Admin operations for other systems of the operator: writing for an account, and moving in from another messenger. */
import { Type } from 'typebox'
import { SEND_ERRORS } from '../catalogue/messages.ts'
import { Log, request, Uid } from '../catalogue/operation.ts'
import { CLIENT_ID_CHARS_MAX } from '../limits.ts'
import { SendSchema, TYPE_PATTERN } from '../send.ts'
import { NAME_CHARS_MAX } from './bots.ts'
import { define } from './operation.ts'

/** Items of one call. */
const IMPORT_ITEMS_MAX = 500
const SEND_BYTES_MAX = 256 * 1024
const IMPORT_BYTES_MAX = 8 * 1024 * 1024

const MessageId = Type.String({
  minLength: 1,
  maxLength: CLIENT_ID_CHARS_MAX,
  description: 'Under it the message is stored once.',
})
const Body = Type.Record(Type.String(), Type.Unknown(), { description: 'The content, by type.' })
const bulk = <Item extends Type.TSchema>(item: Item, description: string) =>
  Type.Array(item, { minItems: 1, maxItems: IMPORT_ITEMS_MAX, description })

export const importOperations = {
  sendAs: define({
    summary:
      'Sends a message for an account, by the rules that hold for it, and screened like what it sends itself; it is stored once for its id. The log of the server says that an operator did.',
    kind: 'change',
    positional: ['uid', 'to'],
    params: request({
      uid: Uid,
      to: SendSchema.properties.to,
      id: MessageId,
      type: SendSchema.properties.type,
      body: SendSchema.properties.body,
      text: SendSchema.properties.text,
    }),
    result: Type.Object({
      log: Type.String(),
      seq: Type.Integer(),
      at: Type.Integer({ description: 'ms since 1970.' }),
    }),
    errors: [...SEND_ERRORS, 'store_full', 'busy'],
    unlogged: ['body', 'text'],
    bodyBytesMax: SEND_BYTES_MAX,
  }),
  importAccounts: define({
    summary: 'Makes accounts; one that is there already with the same phone is left as it is.',
    kind: 'change',
    positional: [],
    params: request({
      accounts: bulk(
        request({
          uid: Uid,
          phone: Type.Optional(Type.String({ pattern: '^\\+[1-9][0-9]{6,14}$' })),
          name: Type.Optional(Type.String({ minLength: 1, maxLength: NAME_CHARS_MAX })),
        }),
        'Each with its `uid`, and a `phone` to log in with and a `name` if it has them.',
      ),
    }),
    result: Type.Object({ made: Type.Integer(), known: Type.Integer() }),
    errors: ['uid_taken', 'uid_fixed'],
    unlogged: ['accounts'],
    bodyBytesMax: IMPORT_BYTES_MAX,
  }),
  importContacts: define({
    summary: 'Makes friends of pairs of accounts, without a request; their devices are not told.',
    kind: 'change',
    positional: [],
    params: request({ pairs: bulk(request({ a: Uid, b: Uid }), 'Each pair as `a` and `b`.') }),
    result: Type.Object({ made: Type.Integer(), known: Type.Integer() }),
    errors: ['unknown_user', 'too_many_contacts'],
    unlogged: ['pairs'],
    bodyBytesMax: IMPORT_BYTES_MAX,
  }),
  importMessages: define({
    summary:
      'Appends messages of the past to a direct or group conversation, in the order of their times. They count as read, no device rings, and one whose id is there already is left out.',
    kind: 'change',
    positional: ['log'],
    params: request({
      log: Log,
      messages: bulk(
        request({
          from: Uid,
          at: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'ms since 1970.' }),
          id: MessageId,
          type: Type.Optional(Type.String({ pattern: TYPE_PATTERN, description: 'Default `text`.' })),
          body: Body,
        }),
        'Each with `from`, `at`, `id`, `body` and, if it is no text, `type`.',
      ),
    }),
    result: Type.Object({
      stored: Type.Integer(),
      known: Type.Integer(),
      head: Type.Integer({ description: 'The last seq of the log.' }),
    }),
    errors: ['unknown_user', 'unknown_group', 'not_member', 'id_conflict', 'not_in_order'],
    unlogged: ['messages'],
    bodyBytesMax: IMPORT_BYTES_MAX,
  }),
} as const
