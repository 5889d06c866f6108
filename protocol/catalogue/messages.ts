/** Messages: sending. What becomes of them is in message-life.ts, reading them in history.ts. */
import { Type } from 'typebox'
import { SendSchema } from '../send.ts'
import { operation } from './operation.ts'

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
  'message_refused',
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
} as const
