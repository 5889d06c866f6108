/** Groups: who is in, who may do what, and how one comes in. */
import { Type } from 'typebox'
import { CALL_USERS_MAX } from '../limits.ts'
import { groupJoiningOperations } from './group-joining.ts'
import { Cursor, Limit, NextCursor, oneOf, orNull, Time } from './group-schemas.ts'
import { Empty, GroupId, operation, RequestId, request, Uid, Uids } from './operation.ts'

const GROUP_NAME_CHARS_MAX = 64
const GROUP_ABOUT_CHARS_MAX = 1024
const ANNOUNCEMENT_CHARS_MAX = 4096
const NICKNAME_CHARS_MAX = 64
const BAN_REASON_CHARS_MAX = 256
const AVATAR_CHARS_MAX = 512

const Name = Type.String({ minLength: 1, maxLength: GROUP_NAME_CHARS_MAX })
const Avatar = Type.String({ minLength: 1, maxLength: AVATAR_CHARS_MAX, description: 'A media id or a URL.' })
const About = Type.String({
  minLength: 1,
  maxLength: GROUP_ABOUT_CHARS_MAX,
  description: 'What the group is for.',
})

/** What a group is made with, beside its members. */
export const GroupProfileParams = {
  name: Name,
  avatar: Type.Optional(Avatar),
  about: Type.Optional(About),
}

const who = (what: string) =>
  oneOf('members', 'admins', `Who ${what}. Admins always may, and so may the owner.`)
const whoWrites = who('writes messages')
const whoInvites = who('adds members and makes links')
const whoPins = who('pins messages')
const approval = Type.Boolean({
  description: 'Whom a link or a member brings waits for an admin. Whom an admin adds is in at once.',
})

const roleDescription = '`owner`, `admin` or `member`.'

/** A group as lists show it to a member. */
const GroupItem = {
  id: Type.String(),
  kind: Type.String({ description: '`group`, or `room`: open to everybody.' }),
  name: Type.String(),
  avatar: Type.Optional(Type.String()),
  owner: Type.String({ description: 'A uid.' }),
  members: Type.Integer(),
  role: Type.String({ description: `Mine: ${roleDescription}` }),
  nickname: Type.Optional(Type.String({ description: 'Mine.' })),
  joinedAt: Type.Integer(),
}

const listSection = {
  'groups.create': operation({
    summary: 'Make a group; the caller owns it. If one of the members cannot be added, nothing is made.',
    access: 'user',
    mutating: true,
    params: request({
      ...GroupProfileParams,
      members: Type.Optional(Type.Array(Uid, { maxItems: CALL_USERS_MAX, uniqueItems: true })),
      requestId: RequestId,
    }),
    result: Type.Object({ id: Type.String({ description: '`g:...`, the id of the group and of its log.' }) }),
    errors: ['users_refused', 'too_many_members', 'content_refused', 'unknown_media'],
  }),
  'groups.get': operation({
    summary: 'A group that I am in: its profile, its rules, what I am in it, and its announcement.',
    access: 'user',
    mutating: false,
    params: request({ id: GroupId }),
    result: Type.Object({
      ...GroupItem,
      about: Type.Optional(Type.String()),
      keepsEntries: Type.Boolean({ description: 'False for a room that stores no messages.' }),
      whoWrites,
      whoInvites,
      whoPins,
      approval,
      mutedUntil: Type.Optional(Type.Integer({ description: 'Until then only admins write.' })),
      iAmMutedUntil: Type.Optional(Type.Integer()),
      announcement: Type.Optional(
        Type.Object({ text: Type.String(), by: Type.String(), at: Type.Integer() }),
      ),
      admins: Type.Integer({ description: 'How many, with the owner.' }),
      requests: Type.Optional(Type.Integer({ description: 'How many wait to join; for admins.' })),
      createdAt: Type.Integer(),
    }),
    errors: ['unknown_group'],
  }),
  'groups.list': operation({
    summary: 'The groups and rooms that I am a member of, in pages.',
    access: 'user',
    mutating: false,
    params: request({ limit: Limit, cursor: Cursor }),
    result: Type.Object({ items: Type.Array(Type.Object(GroupItem)), cursor: NextCursor }),
    errors: [],
  }),
  'groups.changes': operation({
    summary:
      'Groups that changed since the version that this device was given last, as they are now, and those that I am not in any more. A group may come more than once.',
    access: 'user',
    mutating: false,
    params: request({
      since: Type.Optional(Type.String({ maxLength: 96, description: 'Without it: all my groups.' })),
      limit: Limit,
    }),
    result: Type.Object({
      items: Type.Array(Type.Object(GroupItem)),
      gone: Type.Array(Type.String(), { description: 'Groups that I left or was let out of.' }),
      version: Type.String({ description: 'What to ask with next.' }),
      more: Type.Boolean({ description: 'There are further changes after `version`.' }),
    }),
    errors: [],
  }),
}

const ruleSection = {
  'groups.update': operation({
    summary:
      'Change the profile and the rules of a group (admins only). What is not named stays; null removes.',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      name: Type.Optional(Name),
      avatar: Type.Optional(orNull(Avatar)),
      about: Type.Optional(orNull(About)),
      whoWrites: Type.Optional(whoWrites),
      whoInvites: Type.Optional(whoInvites),
      whoPins: Type.Optional(whoPins),
      approval: Type.Optional(approval),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'content_refused', 'unknown_media'],
  }),
  'groups.announce': operation({
    summary: 'Set the announcement of a group, or take it away with null (admins only).',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      text: orNull(Type.String({ minLength: 1, maxLength: ANNOUNCEMENT_CHARS_MAX })),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'content_refused'],
  }),
  'groups.setRole': operation({
    summary: 'Make a member an admin, or an admin a member (the owner only).',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      uid: Uid,
      role: oneOf('admin', 'member', 'What they are from now on.'),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_group', 'not_owner', 'not_member', 'too_many_admins'],
  }),
  'groups.transfer': operation({
    summary: 'Give a group to another member (the owner only), who owned it becomes a plain member.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, uid: Uid, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group', 'not_owner', 'not_member'],
  }),
  'groups.mute': operation({
    summary:
      'Keep a member, or all who are not admins, from writing until a time; null ends it (admins only).',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      uid: Type.Optional(Uid),
      untilMs: orNull(Time('Until when')),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'not_owner', 'not_member'],
  }),
  'groups.dissolve': operation({
    summary:
      'End a group (the owner only): nobody comes or writes any more, and all are let out. Its history stays readable to who was in it.',
    access: 'user',
    mutating: true,
    rate: 'rare',
    params: request({ id: GroupId, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group', 'not_owner'],
  }),
}

const Members = Type.Array(
  Type.Object({
    uid: Type.String(),
    role: Type.String({ description: roleDescription }),
    nickname: Type.Optional(Type.String()),
    mutedUntil: Type.Optional(Type.Integer({ description: 'They cannot write until then, ms since 1970.' })),
    joinedAt: Type.Integer(),
  }),
)

const memberSection = {
  'groups.add': operation({
    summary:
      'Add members. They see the log from the entry that lets them in. Where members need approval, whom a member adds waits for an admin.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, members: Uids, requestId: RequestId }),
    result: Type.Object({
      added: Type.Array(Type.String()),
      waiting: Type.Optional(Type.Array(Type.String(), { description: 'Those who wait for an admin.' })),
    }),
    errors: ['unknown_group', 'not_admin', 'users_refused', 'too_many_members', 'too_many_requests'],
  }),
  'groups.remove': operation({
    summary:
      'Remove members: the owner anybody, admins plain members. The entry that lets them out is the last that they get.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, members: Uids, requestId: RequestId }),
    result: Type.Object({ removed: Type.Array(Type.String()) }),
    errors: ['unknown_group', 'not_admin', 'not_owner'],
  }),
  'groups.leave': operation({
    summary:
      'Leave a group. When the owner leaves, the admin who joined first owns it; without one, the member who did.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group'],
  }),
  'groups.members': operation({
    summary: 'The members of a group, in pages, who joined first first.',
    access: 'user',
    mutating: false,
    params: request({
      id: GroupId,
      role: Type.Optional(
        oneOf('admin', 'member', '`admin`: the owner and the admins; `member`: all others.'),
      ),
      limit: Limit,
      cursor: Cursor,
    }),
    result: Type.Object({ members: Members, cursor: NextCursor }),
    errors: ['unknown_group'],
  }),
  'groups.setNickname': operation({
    summary: 'What I am called in a group, or what a member is (admins only); null for their own name.',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      nickname: orNull(Type.String({ minLength: 1, maxLength: NICKNAME_CHARS_MAX })),
      uid: Type.Optional(Uid),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'not_owner', 'not_member', 'content_refused'],
  }),
  'groups.ban': operation({
    summary:
      'Remove somebody, if they are in, and keep them out until a time or for good: the owner anybody, admins plain members.',
    access: 'user',
    mutating: true,
    params: request({
      id: GroupId,
      uid: Uid,
      reason: Type.Optional(
        Type.String({ minLength: 1, maxLength: BAN_REASON_CHARS_MAX, description: 'Shown to admins.' }),
      ),
      until: Type.Optional(Time('Until when')),
      requestId: RequestId,
    }),
    result: Empty,
    errors: ['unknown_group', 'not_admin', 'not_owner', 'unknown_user', 'too_many_bans'],
  }),
  'groups.unban': operation({
    summary: 'Let somebody come again (admins only). Done twice it changes nothing.',
    access: 'user',
    mutating: true,
    params: request({ id: GroupId, uid: Uid, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_group', 'not_admin'],
  }),
  'groups.bans': operation({
    summary: 'Who is banned from a group (for admins), in pages.',
    access: 'user',
    mutating: false,
    params: request({ id: GroupId, limit: Limit, cursor: Cursor }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          uid: Type.String(),
          by: Type.String(),
          at: Type.Integer(),
          reason: Type.Optional(Type.String()),
          until: Type.Optional(Type.Integer()),
        }),
      ),
      cursor: NextCursor,
    }),
    errors: ['unknown_group', 'not_admin'],
  }),
}

export const groupOperations = {
  ...listSection,
  ...ruleSection,
  ...memberSection,
  ...groupJoiningOperations,
} as const
