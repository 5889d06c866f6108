/** Conversations as one person sees them. */
import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { LIST_ITEMS_MAX } from '../limits.ts'
import { Log, operation, RequestId, request, Seq } from './operation.ts'

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
} as const
