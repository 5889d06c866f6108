/** Messages: sending, what becomes of them, and pages of history. */
import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { PAGE_ENTRIES_MAX } from '../limits.ts'
import { SendSchema } from '../send.ts'
import { Log, operation, request, Seq } from './operation.ts'

export const messageOperations = {
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
