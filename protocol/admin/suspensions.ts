/** Admin operations that take an account out of use, for a time or until somebody gives it back. */
import { type Static, Type } from 'typebox'
import { request, Uid } from '../catalogue/operation.ts'
import { define } from './operation.ts'

export const SUSPENSIONS_PAGE_MAX = 100
export const SUSPENSION_REASON_CHARS_MAX = 1000

const Time = (description: string) => Type.Integer({ description: `${description}, ms since 1970.` })

export const Until = (description: string) =>
  Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER - 1, description })

export const SuspensionRow = Type.Object({
  uid: Type.String(),
  reason: Type.String({ description: 'Seen by operators alone.' }),
  at: Time('When it began'),
  until: Type.Optional(Time('When it ends by itself')),
})
export type SuspensionRow = Static<typeof SuspensionRow>

export const suspensionOperations = {
  suspend: define({
    summary:
      'Suspends an account: its connections close on every node, and until the suspension ends nobody logs in to it or uses a token of it. To others it is as before. Of one that is suspended already the reason and the end change.',
    kind: 'change',
    positional: ['uid', 'reason'],
    params: request({
      uid: Uid,
      reason: Type.String({
        minLength: 1,
        maxLength: SUSPENSION_REASON_CHARS_MAX,
        description: 'Seen by operators alone.',
      }),
      until: Type.Optional(Until('When it ends by itself, ms since 1970; for good if not given.')),
    }),
    result: SuspensionRow,
    errors: ['unknown_user'],
    unlogged: ['reason'],
  }),
  unsuspend: define({
    summary:
      'Ends the suspension of an account now: its logins and sessions go on. Done twice it changes nothing.',
    kind: 'change',
    positional: ['uid'],
    params: request({ uid: Uid }),
    result: Type.Object({ uid: Type.String(), wasSuspended: Type.Boolean() }),
    errors: ['unknown_user'],
  }),
  suspensions: define({
    summary: 'The accounts that are suspended now, in pages.',
    kind: 'read',
    positional: [],
    params: request({
      after: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'What the page before said to go on with.',
        }),
      ),
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: SUSPENSIONS_PAGE_MAX, description: 'Accounts of one page.' }),
      ),
    }),
    result: Type.Object({
      suspensions: Type.Array(SuspensionRow),
      after: Type.Optional(Type.Integer({ description: 'There are more; ask with it.' })),
    }),
    errors: [],
  }),
} as const
