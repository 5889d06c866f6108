/** Contacts: friends and requests, blocks, and what my list says of people. */
import { Type } from 'typebox'
import { LIST_ITEMS_MAX } from '../limits.ts'
import { Empty, operation, RequestId, request, Uid } from './operation.ts'
import { ProfileCard } from './profile.ts'
import { Changes, changesParams, Version } from './sync.ts'

const REMARK_CHARS_MAX = 64
const TAGS_MAX = 20
const TAG_CHARS_MAX = 32
const BLOCK_MODES = ['refuse', 'swallow'] as const

const peer = { uid: Uid, requestId: RequestId }

/** What my list says of a person. */
const contactFields = {
  uid: Type.String(),
  state: Type.String({ description: '`friend`, `requested` (by me), `asked` (by them) or `none`.' }),
  blocked: Type.Boolean({ description: 'I blocked them.' }),
  blockMode: Type.Optional(
    Type.String({ description: '`refuse`: they are told; `swallow`: their messages go nowhere.' }),
  ),
  remark: Type.Optional(Type.String({ description: 'What I call them.' })),
  tags: Type.Optional(Type.Array(Type.String())),
  text: Type.Optional(Type.String({ description: 'The text of an open request.' })),
}

const ShownProfile = Type.Optional(ProfileCard)

const Contact = Type.Object({
  ...contactFields,
  since: Type.Integer({ description: 'Time of the last change, ms since 1970.' }),
  profile: ShownProfile,
})

const ChangedContact = Type.Object({
  ...contactFields,
  since: Type.Optional(Type.Integer({ description: 'Time of the last change, ms since 1970.' })),
  profile: ShownProfile,
  removed: Type.Optional(Type.Boolean({ description: 'No longer on my list.' })),
})

const Tag = Type.String({ minLength: 1, maxLength: TAG_CHARS_MAX })

export const contactOperations = {
  'contacts.request': operation({
    summary: 'Ask somebody to be friends. If they asked already, the two become friends at once.',
    access: 'user',
    mutating: true,
    params: request({ ...peer, text: Type.Optional(Type.String({ maxLength: 256 })) }),
    result: Type.Object({ state: Type.Union([Type.Literal('requested'), Type.Literal('friend')]) }),
    errors: [
      'unknown_user',
      'account_inactive',
      'blocked',
      'requests_closed',
      'request_refused',
      'too_many_contacts',
      'content_refused',
    ],
  }),
  'contacts.accept': operation({
    summary: 'Accept an open request.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: ['no_request'],
  }),
  'contacts.refuse': operation({
    summary: 'Refuse an open request. For some time the same person cannot ask again.',
    access: 'user',
    mutating: true,
    params: request(peer),
    result: Empty,
    errors: ['no_request'],
  }),
  'contacts.update': operation({
    summary: 'Give somebody on my list a name and tags of my own, which nobody else sees. null removes.',
    access: 'user',
    mutating: true,
    params: request({
      ...peer,
      remark: Type.Optional(
        Type.Union([Type.String({ minLength: 1, maxLength: REMARK_CHARS_MAX }), Type.Null()]),
      ),
      tags: Type.Optional(
        Type.Union([Type.Array(Tag, { maxItems: TAGS_MAX, uniqueItems: true }), Type.Null()]),
      ),
    }),
    result: Empty,
    errors: ['not_a_contact'],
  }),
  'contacts.list': operation({
    summary: 'Friends, open requests of both directions, and blocked users; in pages where a limit is named.',
    access: 'user',
    mutating: false,
    params: request({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIST_ITEMS_MAX })),
      cursor: Type.Optional(Type.String({ maxLength: 96, description: 'From the page before.' })),
    }),
    result: Type.Object({
      items: Type.Array(Contact),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
      version: Version,
    }),
    errors: [],
  }),
  'contacts.changes': operation({
    summary: 'What changed on my list since a version: also new profiles of friends, and who is gone.',
    access: 'user',
    mutating: false,
    params: request(changesParams),
    result: Changes(ChangedContact),
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
    params: request({
      ...peer,
      mode: Type.Optional(
        Type.Enum([...BLOCK_MODES], {
          description: '`refuse` (the default): they are told; `swallow`: it looks as if it arrived.',
        }),
      ),
    }),
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
