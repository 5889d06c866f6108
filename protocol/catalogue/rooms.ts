/**
 * Open rooms: groups of kind `room`, which everybody finds, joins and leaves. Coming and going leaves no entry. What
 * else is done with a room are operations of groups, by the same id.
 */
import { Type } from 'typebox'
import { LIST_ITEMS_MAX } from '../limits.ts'
import { GroupProfileParams } from './groups.ts'
import { Empty, GroupId, operation, RequestId, request } from './operation.ts'

export const roomsOperations = {
  'rooms.create': operation({
    summary: 'Make a room that everybody may join; the caller owns it.',
    access: 'user',
    mutating: true,
    rate: 'costly',
    params: request({
      ...GroupProfileParams,
      keepsEntries: Type.Optional(
        Type.Boolean({
          description:
            'False: messages are not stored but go to those who are online (`transient`). Default true.',
        }),
      ),
      requestId: RequestId,
    }),
    result: Type.Object({ id: Type.String({ description: '`g:...`, the id of the room and of its log.' }) }),
    errors: ['content_refused', 'unknown_media'],
  }),
  'rooms.list': operation({
    summary:
      'Open rooms, the newest first, in pages. With a query, a page may be short or empty though there is more.',
    access: 'user',
    mutating: false,
    params: request({
      query: Type.Optional(
        Type.String({ minLength: 1, maxLength: 64, description: 'A part of the name, in any case.' }),
      ),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIST_ITEMS_MAX })),
      cursor: Type.Optional(Type.String({ maxLength: 96, description: 'From the page before.' })),
    }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String(),
          name: Type.String(),
          avatar: Type.Optional(Type.String()),
          about: Type.Optional(Type.String()),
          members: Type.Integer(),
          keepsEntries: Type.Boolean(),
          createdAt: Type.Integer(),
        }),
      ),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
    }),
    errors: [],
  }),
  'rooms.join': operation({
    summary:
      'Join a room. Who is in already stays in. A room that keeps no entries is joined for a time by this connection: called again it is renewed, and it ends with the connection.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, requestId: RequestId }),
    result: Type.Object({
      until: Type.Optional(
        Type.Integer({
          description: 'Of a room that keeps no entries: when to have joined again, ms since 1970.',
        }),
      ),
    }),
    errors: ['unknown_group', 'banned', 'too_many_members', 'connection_required', 'too_many_watches'],
  }),
  'rooms.leave': operation({
    summary: 'Leave a room.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group', 'connection_required'],
  }),
} as const
