/** Coming into a group by oneself: links, and those who wait for an admin. */
import { Type } from 'typebox'
import { Cursor, Limit, NextCursor, oneOf, Time } from './group-schemas.ts'
import { Empty, GroupId, operation, RequestId, request, Uid } from './operation.ts'

const JOIN_TEXT_CHARS_MAX = 256

const Token = Type.String({
  pattern: '^[A-Za-z0-9_-]{22}$',
  description: 'What a link carries: 22 letters, digits, `-` and `_`.',
})

export const groupJoiningOperations = {
  'groups.createLink': operation({
    summary: 'Make a link by which people join. Who may invite may make links.',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      expiresAt: Type.Optional(Time('When it ends')),
      usesMax: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'How many may join by it.' }),
      ),
      requestId: RequestId,
    }),
    result: Type.Object({ token: Type.String() }),
    errors: ['unknown_group', 'not_admin', 'too_many_links'],
  }),
  'groups.links': operation({
    summary: 'The links of a group: admins see all, others those that they made.',
    access: 'user',
    mutating: false,
    params: request({ id: GroupId }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          token: Type.String(),
          by: Type.String(),
          at: Type.Integer(),
          uses: Type.Integer(),
          usesMax: Type.Optional(Type.Integer()),
          expiresAt: Type.Optional(Type.Integer()),
        }),
      ),
    }),
    errors: ['unknown_group'],
  }),
  'groups.endLink': operation({
    summary: 'End a link: one of mine, or as an admin any of the group.',
    access: 'user',
    mutating: true,
    params: request({ token: Token, requestId: RequestId }),
    result: Empty,
    errors: ['link_ended', 'not_admin'],
  }),
  'groups.join': operation({
    summary: 'Join the group of a link, or an open room by its id. Who is in already stays in.',
    access: 'user',
    mutating: true,
    params: request({
      token: Type.Optional(Token),
      id: Type.Optional(GroupId),
      text: Type.Optional(
        Type.String({ maxLength: JOIN_TEXT_CHARS_MAX, description: 'For the admins, where they approve.' }),
      ),
      requestId: RequestId,
    }),
    result: Type.Object({
      id: Type.String(),
      state: oneOf('joined', 'waiting', '`waiting`: an admin decides.'),
    }),
    errors: [
      'unknown_group',
      'link_ended',
      'link_used_up',
      'banned',
      'too_many_members',
      'too_many_requests',
      'connection_required',
      'content_refused',
    ],
  }),
  'groups.requests': operation({
    summary: 'Who waits to join a group (for admins), in pages, who asked first first.',
    access: 'user',
    mutating: false,
    params: request({ id: GroupId, limit: Limit, cursor: Cursor }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          uid: Type.String(),
          at: Type.Integer(),
          text: Type.Optional(Type.String()),
          invitedBy: Type.Optional(Type.String({ description: 'A member who wanted to add them.' })),
        }),
      ),
      cursor: NextCursor,
    }),
    errors: ['unknown_group', 'not_admin'],
  }),
  'groups.approve': operation({
    summary: 'Let somebody in who waits (admins only).',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, uid: Uid, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'no_join_request', 'too_many_members'],
  }),
  'groups.reject': operation({
    summary: 'Do not let somebody in who waits (admins only). They get a notice.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, uid: Uid, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'no_join_request'],
  }),
}
