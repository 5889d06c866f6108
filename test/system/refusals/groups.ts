/** Groups: their rules, their members, who is kept out. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import {
  absent,
  BANNED_WORD,
  foreign,
  NO_GROUP,
  NOBODY,
  passesOver,
  refuses,
  refusesTheWord,
  type Situation,
} from './situation.ts'
import { GROUP_MEMBERS_MAX, type Town } from './town.ts'
import { uploadForeign } from './town-files.ts'

/** Refusals of whatever names a group: its members alone know that it is there. */
export const inGroup = <P>(params: (id: string, town: Town) => P, owner = 'owner'): Situation<P>[] => [
  foreign('id', 'unknown_group', 'a group of others', (town) =>
    town.as('stranger', params(town.groups.ours, town)),
  ),
  absent('id', 'unknown_group', (town) => town.as(owner, params(NO_GROUP, town))),
  refuses('unknown_group', 'by who left it', (town) => town.as('left', params(town.groups.ours, town))),
  refuses('unknown_group', 'it was dissolved', (town) => town.as(owner, params(town.groups.dissolved, town))),
]

/** Refusals of what is said of one member. */
const ofMember = <P>(params: (id: string, uid: string) => P): Situation<P>[] => [
  foreign('uid', 'not_member', 'somebody outside', (town) =>
    town.as('owner', params(town.groups.ours, town.who('stranger'))),
  ),
  absent('uid', 'not_member', (town) => town.as('owner', params(town.groups.ours, NOBODY))),
  refuses('not_member', 'of who has left', (town) =>
    town.as('owner', params(town.groups.ours, town.who('left'))),
  ),
]

const byMember = <P>(params: (id: string, town: Town) => P, code: 'not_admin' | 'not_owner' = 'not_admin') =>
  refuses<P>(code, 'by a plain member', (town) => town.as('member', params(town.groups.ours, town)))

const cursorOfOther = <P>(params: (id: string, cursor: string) => P): Situation<P> =>
  foreign('cursor', 'bad_request', 'of another operation', (town) =>
    town.as('owner', params(town.groups.ours, `o.1.1`)),
  )

const FAR = 2 ** 42

type Groups = { [Name in Extract<OperationName, `groups.${string}`>]: Situation<Params<Name>>[] }

export const groupSituations: Omit<
  Groups,
  | 'groups.createLink'
  | 'groups.links'
  | 'groups.endLink'
  | 'groups.join'
  | 'groups.requests'
  | 'groups.approve'
  | 'groups.reject'
> = {
  'groups.create': [
    foreign('members', 'users_refused', 'somebody who is no friend', (town) =>
      town.as('owner', { name: 'x', members: [town.who('member'), town.who('stranger')] }),
    ),
    absent('members', 'users_refused', (town) => town.as('owner', { name: 'x', members: [NOBODY] })),
    refuses('users_refused', 'a friend whose account rests', (town) =>
      town.as('anna', { name: 'x', members: [town.who('sleeper')] }),
    ),
    refuses('users_refused', 'a friend who has blocked the caller', (town) =>
      town.as('anna', { name: 'x', members: [town.who('wall')] }),
    ),
    refuses('too_many_members', 'one more than a group takes', (town) =>
      town.as('full', { name: 'x', members: town.crowd.slice(0, GROUP_MEMBERS_MAX) }),
    ),
    foreign('avatar', 'unknown_media', 'a file of somebody else', async (town) =>
      town.as('owner', { name: 'x', avatar: await uploadForeign(town) }),
    ),
    refusesTheWord((town) => town.as('owner', { name: BANNED_WORD })),
  ],
  'groups.get': inGroup((id) => ({ id })),
  'groups.list': [
    foreign('cursor', 'bad_request', 'of another operation', (town) => town.as('owner', { cursor: '5.x' })),
  ],
  'groups.changes': [
    foreign('since', 'bad_request', 'a version of another operation', (town) =>
      town.as('owner', { since: '17' }),
    ),
  ],

  'groups.update': [
    ...inGroup((id) => ({ id, name: 'renamed' })),
    byMember((id) => ({ id, name: 'renamed' })),
    refuses('bad_request', 'a room in which admins approve', (town) =>
      town.as('owner', { id: town.groups.room, name: 'renamed', approval: true }),
    ),
    foreign('avatar', 'unknown_media', 'a file of somebody else', async (town) =>
      town.as('owner', { id: town.groups.ours, avatar: await uploadForeign(town) }),
    ),
    refusesTheWord((town) => town.as('owner', { id: town.groups.ours, about: BANNED_WORD })),
  ],
  'groups.announce': [
    ...inGroup((id) => ({ id, text: 'hear' })),
    byMember((id) => ({ id, text: 'hear' })),
    refusesTheWord((town) => town.as('owner', { id: town.groups.ours, text: BANNED_WORD })),
  ],
  'groups.setRole': [
    ...inGroup((id, town) => ({ id, uid: town.who('member'), role: 'admin' as const })),
    ...ofMember((id, uid) => ({ id, uid, role: 'admin' as const })),
    byMember((id, town) => ({ id, uid: town.who('member'), role: 'admin' as const }), 'not_owner'),
    refuses('not_owner', 'by an admin', (town) =>
      town.as('admin', { id: town.groups.ours, uid: town.who('member'), role: 'admin' as const }),
    ),
    refuses('bad_request', 'the owner as a plain member', (town) =>
      town.as('owner', { id: town.groups.ours, uid: town.who('owner'), role: 'member' }),
    ),
    refuses('too_many_admins', 'one more than a group has', (town) =>
      town.as('full', {
        id: town.groups.packed,
        uid: town.crowd[GROUP_MEMBERS_MAX - 2]!,
        role: 'admin',
      }),
    ),
  ],
  'groups.transfer': [
    ...inGroup((id, town) => ({ id, uid: town.who('member') })),
    ...ofMember((id, uid) => ({ id, uid })),
    refuses('not_owner', 'by an admin', (town) =>
      town.as('admin', { id: town.groups.ours, uid: town.who('admin') }),
    ),
  ],
  'groups.mute': [
    ...inGroup((id, town) => ({ id, uid: town.who('member'), untilMs: FAR })),
    ...ofMember((id, uid) => ({ id, uid, untilMs: FAR })),
    byMember((id) => ({ id, untilMs: FAR })),
    refuses('not_owner', 'one admin by another', (town) =>
      town.as('admin', { id: town.groups.ours, uid: town.who('peer'), untilMs: FAR }),
    ),
    refuses('bad_request', 'the owner', (town) =>
      town.as('owner', { id: town.groups.ours, uid: town.who('owner'), untilMs: FAR }),
    ),
  ],
  'groups.dissolve': [
    ...inGroup((id) => ({ id })),
    refuses('not_owner', 'by an admin', (town) => town.as('admin', { id: town.groups.ours })),
  ],

  'groups.add': [
    ...inGroup((id, town) => ({ id, members: [town.who('candidate')] })),
    foreign('members', 'users_refused', 'a friend and somebody who is none', (town) =>
      town.as('owner', { id: town.groups.ours, members: [town.who('candidate'), town.who('stranger')] }),
    ),
    absent('members', 'users_refused', (town) =>
      town.as('owner', { id: town.groups.ours, members: [town.who('candidate'), NOBODY] }),
    ),
    refuses('users_refused', 'a friend who is banned', (town) =>
      town.as('owner', { id: town.groups.ours, members: [town.who('banned')] }),
    ),
    refuses('not_admin', 'by a member where only admins invite', (town) =>
      town.as('member', { id: town.groups.quiet, members: [town.who('ben')] }),
    ),
    refuses('too_many_members', 'to a group that is full', (town) =>
      town.as('full', { id: town.groups.packed, members: [town.crowd[GROUP_MEMBERS_MAX]!] }),
    ),
    refuses('too_many_requests', 'by a member where as many wait as may', (town) =>
      town.as('member', { id: town.groups.crowded, members: [town.who('ben')] }),
    ),
  ],
  'groups.remove': [
    ...inGroup((id, town) => ({ id, members: [town.who('other')] })),
    foreign('members', passesOver({ removed: [] }), 'somebody outside', (town) =>
      town.as('owner', { id: town.groups.ours, members: [town.who('stranger'), town.who('left')] }),
    ),
    absent('members', passesOver({ removed: [] }), (town) =>
      town.as('owner', { id: town.groups.ours, members: [NOBODY] }),
    ),
    byMember((id, town) => ({ id, members: [town.who('other')] })),
    refuses('not_owner', 'a member and an admin, by another admin', (town) =>
      town.as('admin', { id: town.groups.ours, members: [town.who('other'), town.who('peer')] }),
    ),
    refuses('bad_request', 'oneself', (town) =>
      town.as('owner', { id: town.groups.ours, members: [town.who('other'), town.who('owner')] }),
    ),
  ],
  'groups.leave': inGroup((id) => ({ id })),
  'groups.members': [...inGroup((id) => ({ id })), cursorOfOther((id, cursor) => ({ id, cursor }))],
  'groups.setNickname': [
    ...inGroup((id, town) => ({ id, uid: town.who('member'), nickname: 'Nick' })),
    ...ofMember((id, uid) => ({ id, uid, nickname: 'Nick' })),
    byMember((id, town) => ({ id, uid: town.who('other'), nickname: 'Nick' })),
    refuses('not_owner', 'of one admin by another', (town) =>
      town.as('admin', { id: town.groups.ours, uid: town.who('peer'), nickname: 'Nick' }),
    ),
    refusesTheWord((town) => town.as('member', { id: town.groups.ours, nickname: BANNED_WORD })),
  ],
  'groups.ban': [
    ...inGroup((id, town) => ({ id, uid: town.who('other') })),
    absent('uid', 'unknown_user', (town) => town.as('owner', { id: town.groups.ours, uid: NOBODY })),
    byMember((id, town) => ({ id, uid: town.who('other') })),
    refuses('not_owner', 'one admin by another', (town) =>
      town.as('admin', { id: town.groups.ours, uid: town.who('peer') }),
    ),
    refuses('bad_request', 'oneself', (town) =>
      town.as('owner', { id: town.groups.ours, uid: town.who('owner') }),
    ),
    refuses('bad_request', 'until a time that is past', (town) =>
      town.as('owner', { id: town.groups.ours, uid: town.who('other'), until: 1 }),
    ),
  ],
  'groups.unban': [
    ...inGroup((id, town) => ({ id, uid: town.who('banned') })),
    foreign('uid', passesOver(), 'who is not banned', (town) =>
      town.as('owner', { id: town.groups.ours, uid: town.who('stranger') }),
    ),
    absent('uid', passesOver(), (town) => town.as('owner', { id: town.groups.ours, uid: NOBODY })),
    byMember((id, town) => ({ id, uid: town.who('banned') })),
  ],
  'groups.bans': [
    ...inGroup((id) => ({ id })),
    byMember((id) => ({ id })),
    cursorOfOther((id, cursor) => ({ id, cursor })),
  ],
}
