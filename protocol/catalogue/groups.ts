import { Type } from 'typebox'
import { CALL_USERS_MAX, LIST_ITEMS_MAX } from '../limits.ts'
import { Empty, GroupId, operation, RequestId, request, Uid, Uids } from './operation.ts'

export const groupOperations = {
  'groups.create': operation({
    summary: 'Make a group; the caller owns it. If one of the members cannot be added, nothing is made.',
    access: 'user',
    mutating: true,
    params: request({
      name: Type.String({ minLength: 1, maxLength: 64 }),
      members: Type.Optional(Type.Array(Uid, { maxItems: CALL_USERS_MAX, uniqueItems: true })),
      requestId: RequestId,
    }),
    result: Type.Object({ id: Type.String({ description: '`g:...`, the id of the group and of its log.' }) }),
    errors: ['users_refused', 'too_many_members'],
  }),
  'groups.add': operation({
    summary: 'Add members. They see the log from the entry that lets them in.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, members: Uids, requestId: RequestId }),
    result: Type.Object({ added: Type.Array(Type.String()) }),
    errors: ['unknown_group', 'users_refused', 'too_many_members'],
  }),
  'groups.remove': operation({
    summary: 'Remove members (the owner only). The entry that lets them out is the last that they get.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, members: Uids, requestId: RequestId }),
    result: Type.Object({ removed: Type.Array(Type.String()) }),
    errors: ['unknown_group', 'not_owner'],
  }),
  'groups.leave': operation({
    summary: 'Leave a group. When the owner leaves, the member who joined first owns it.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group'],
  }),
  'groups.list': operation({
    summary: 'The groups that I am a member of.',
    access: 'user',
    mutating: false,
    params: request({}),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Type.String(),
          name: Type.String(),
          owner: Type.String(),
          members: Type.Integer(),
          joinedAt: Type.Integer(),
        }),
      ),
    }),
    errors: [],
  }),
  'groups.members': operation({
    summary: 'The members of a group, in pages, who joined first first.',
    access: 'user',
    mutating: false,
    params: request({
      id: GroupId,
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIST_ITEMS_MAX })),
      cursor: Type.Optional(Type.String({ maxLength: 96, description: 'From the page before.' })),
    }),
    result: Type.Object({
      members: Type.Array(Type.Object({ uid: Type.String(), role: Type.String(), joinedAt: Type.Integer() })),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
    }),
    errors: ['unknown_group'],
  }),
} as const
