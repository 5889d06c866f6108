import { Type } from 'typebox'
import { Empty, operation, RequestId, request, Uid } from './operation.ts'

const peer = { uid: Uid, requestId: RequestId }

export const contactOperations = {
  'contacts.request': operation({
    summary: 'Ask somebody to be friends. If they asked already, the two become friends at once.',
    access: 'user',
    mutating: true,
    params: request({ ...peer, text: Type.Optional(Type.String({ maxLength: 256 })) }),
    result: Type.Object({ state: Type.Union([Type.Literal('requested'), Type.Literal('friend')]) }),
    errors: ['unknown_user', 'blocked', 'too_many_contacts'],
  }),
  'contacts.accept': operation({
    summary: 'Accept an open request.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: ['no_request', 'too_many_contacts'],
  }),
  'contacts.refuse': operation({
    summary: 'Refuse an open request.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: ['no_request'],
  }),
  'contacts.list': operation({
    summary: 'Friends, open requests of both directions, and blocked users.',
    access: 'user',
    mutating: false,
    params: request({}),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          uid: Type.String(),
          state: Type.String({ description: '`friend`, `requested` (by me), `asked` (by them) or `none`.' }),
          blocked: Type.Boolean({ description: 'I blocked them.' }),
          text: Type.Optional(Type.String({ description: 'The text of an open request.' })),
          since: Type.Integer({ description: 'Time of the last change, ms since 1970.' }),
        }),
      ),
    }),
    errors: [],
  }),
  'contacts.remove': operation({
    summary: 'End a friendship on both sides, or withdraw a request. Done twice it changes nothing.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: [],
  }),
  'contacts.block': operation({
    summary: 'Take no more messages and requests from somebody. One-sided; it does not reach into groups.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: ['unknown_user', 'too_many_contacts'],
  }),
  'contacts.unblock': operation({
    summary: 'Take a block back.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: [],
  }),
} as const
