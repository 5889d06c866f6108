/** Reports of messages and people, for the operator to look at. */
import { Type } from 'typebox'
import { Log, operation, RequestId, request, Seq, Uid } from './operation.ts'

const REASONS = ['spam', 'abuse', 'violence', 'sexual', 'illegal', 'other'] as const

export const moderationOperations = {
  'reports.create': operation({
    summary: 'Report a message that I can see, or a person, to the operator. The other side is not told.',
    access: 'user',
    mutating: true,
    rate: 'costly',
    params: request({
      log: Type.Optional(Log),
      seq: Type.Optional(Seq),
      uid: Type.Optional(Uid),
      reason: Type.Enum([...REASONS]),
      text: Type.Optional(Type.String({ maxLength: 1000 })),
      requestId: RequestId,
    }),
    result: Type.Object({
      report: Type.Integer({
        description: 'Its number. Of the same message or person it is the same until it is decided.',
      }),
    }),
    errors: ['unknown_log', 'unknown_entry', 'unknown_user'],
  }),
} as const
