import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { LIST_ITEMS_MAX, PAGE_ENTRIES_MAX } from '../limits.ts'
import { SendSchema } from '../send.ts'
import { Log, operation, RequestId, request } from './operation.ts'

const Seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

export const conversationOperations = {
  'conversations.list': operation({
    summary:
      'My conversations, the last active first, each with what is unread; and the badge over all of them.',
    access: 'user',
    mutating: false,
    params: request({
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: LIST_ITEMS_MAX,
          description: 'At most; fewer come when they are large.',
        }),
      ),
      cursor: Type.Optional(Type.String({ maxLength: 160, description: 'From the page before.' })),
    }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          log: Type.String(),
          epoch: Type.String(),
          head: Type.Integer({ description: 'Last seq that I may see.' }),
          unread: Type.Integer({ description: 'Messages of others after my read pointer.' }),
          readSeq: Type.Integer(),
          last: Type.Union([EntrySchema, Type.Null()]),
          name: Type.Optional(Type.String({ description: 'Of a group.' })),
          peer: Type.Optional(Type.String({ description: 'Of a direct conversation: the other uid.' })),
        }),
      ),
      badge: Type.Integer({ description: 'Sum of unread over all conversations, not only of this page.' }),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
    }),
    errors: [],
  }),
  'conversations.read': operation({
    summary: 'Mark a conversation as read up to seq. The pointer never goes back; it is cut at the head.',
    access: 'user',
    mutating: true,
    params: request({ log: Log, seq: Seq, requestId: RequestId }),
    result: Type.Object({ readSeq: Type.Integer(), unread: Type.Integer(), badge: Type.Integer() }),
    errors: ['unknown_log'],
  }),
  'messages.send': operation({
    summary: 'Send a message; the answer means that it is on disk.',
    access: 'user',
    mutating: true,
    params: SendSchema,
    result: Type.Object({ log: Type.String(), seq: Type.Integer(), at: Type.Integer() }),
    errors: ['id_conflict', 'unknown_user', 'not_friends', 'blocked', 'unknown_group', 'not_member'],
  }),
  'messages.page': operation({
    summary: 'A page of a conversation, oldest first: the entries before or after a seq, or the last ones.',
    access: 'user',
    mutating: false,
    params: request({
      log: Log,
      before: Type.Optional(Seq),
      after: Type.Optional(Seq),
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: PAGE_ENTRIES_MAX,
          description: 'At most; fewer come when they are large.',
        }),
      ),
    }),
    result: Type.Object({
      entries: Type.Array(EntrySchema),
      head: Type.Integer({ description: 'Last seq that I may see.' }),
      first: Type.Integer({ description: 'First seq that is still kept and that I may see.' }),
    }),
    errors: ['unknown_log'],
  }),
} as const
