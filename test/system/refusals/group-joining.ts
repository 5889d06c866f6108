/** Coming into groups and rooms by oneself. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import { inGroup } from './groups.ts'
import {
  absent,
  BANNED_WORD,
  foreign,
  NO_GROUP,
  NO_LINK,
  NOBODY,
  refuses,
  refusesTheWord,
  type Situation,
} from './situation.ts'
import type { Town } from './town.ts'
import { uploadForeign } from './town-files.ts'

type Names =
  | 'groups.createLink'
  | 'groups.links'
  | 'groups.endLink'
  | 'groups.join'
  | 'groups.requests'
  | 'groups.approve'
  | 'groups.reject'
  | Extract<OperationName, `rooms.${string}`>

const ROOMS_OF_A_CONNECTION_MAX = 100

/** Refusals of what an admin decides about somebody who waits. */
const ofWaiting = (): Situation<{ id: string; uid: string }>[] => [
  ...inGroup((id, town) => ({ id, uid: town.who('waiting') })),
  foreign('uid', 'no_join_request', 'who does not wait', (town) =>
    town.as('owner', { id: town.groups.ours, uid: town.who('stranger') }),
  ),
  absent('uid', 'no_join_request', (town) => town.as('owner', { id: town.groups.ours, uid: NOBODY })),
  refuses('no_join_request', 'who is in already', (town) =>
    town.as('owner', { id: town.groups.ours, uid: town.who('member') }),
  ),
  refuses('not_admin', 'by a plain member', (town) =>
    town.as('member', { id: town.groups.ours, uid: town.who('waiting') }),
  ),
]

/** Refusals of who would join or leave a room. */
const ofRoom = (): Situation<{ id: string }>[] => [
  foreign('id', 'unknown_group', 'a group that is no room', (town) =>
    town.as('stranger', { id: town.groups.ours }),
  ),
  absent('id', 'unknown_group', (town) => town.as('stranger', { id: NO_GROUP })),
]

async function sitInRooms(town: Town) {
  const over = await town.connect('hidden')
  const rooms: string[] = []
  for (let i = 0; i <= ROOMS_OF_A_CONNECTION_MAX; i++) {
    const made = await town.do<{ id: string }>('host', 'rooms.create', {
      name: `live ${i}`,
      keepsEntries: false,
    })
    rooms.push(made.id)
  }
  for (const [i, id] of rooms.slice(1).entries()) {
    const reply = await over.call('rooms.join', { id }, `join-${i}`)
    if (reply.code !== undefined) throw new Error(`room ${i}: ${reply.code}`)
  }
  return { ...town.as('hidden', { id: rooms[0]! }), over }
}

export const joiningSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'groups.createLink': [
    ...inGroup((id) => ({ id })),
    refuses('not_admin', 'by a member where only admins invite', (town) =>
      town.as('member', { id: town.groups.quiet }),
    ),
    refuses('too_many_links', 'one more than a group has', (town) =>
      town.as('full', { id: town.groups.packed }),
    ),
    refuses('bad_request', 'one that is over already', (town) =>
      town.as('owner', { id: town.groups.ours, expiresAt: 1 }),
    ),
  ],
  'groups.links': inGroup((id) => ({ id })),
  'groups.endLink': [
    foreign('token', 'link_ended', 'a link of a group of others', (town) =>
      town.as('stranger', { token: town.groups.link }),
    ),
    absent('token', 'link_ended', (town) => town.as('owner', { token: NO_LINK })),
    refuses('link_ended', 'one that was ended', (town) => town.as('owner', { token: town.groups.endedLink })),
    refuses('not_admin', 'a link of the owner, by a plain member', (town) =>
      town.as('member', { token: town.groups.link }),
    ),
  ],
  'groups.join': [
    absent('token', 'link_ended', (town) => town.as('stranger', { token: NO_LINK })),
    refuses('link_ended', 'by a link that was ended', (town) =>
      town.as('stranger', { token: town.groups.endedLink }),
    ),
    refuses('link_used_up', 'by a link that was used as often as it may be', (town) =>
      town.as('stranger', { token: town.groups.usedLink }),
    ),
    refuses('banned', 'by a link, of who is banned', (town) =>
      town.as('banned', { token: town.groups.link }),
    ),
    refuses('too_many_requests', 'where as many wait as may', (town) =>
      town.as('stranger', { token: town.groups.crowdedLink }),
    ),
    ...ofRoom(),
    refuses('banned', 'a room, of who is banned', (town) => town.as('banned', { id: town.groups.room })),
    refuses('too_many_members', 'a room that is full', (town) =>
      town.as('stranger', { id: town.groups.packedRoom }),
    ),
    refuses('connection_required', 'a room that keeps no entries, for good', (town) =>
      town.as('stranger', { id: town.groups.liveRoom }),
    ),
    refuses('connection_required', 'such a room by a link', (town) =>
      town.as('stranger', { token: town.groups.liveRoomLink }),
    ),
    refusesTheWord((town) => town.as('stranger', { token: town.groups.link, text: BANNED_WORD })),
    refuses('bad_request', 'by a link and an id', (town) =>
      town.as('stranger', { token: town.groups.link, id: town.groups.room }),
    ),
  ],
  'groups.requests': [
    ...inGroup((id) => ({ id })),
    refuses('not_admin', 'by a plain member', (town) => town.as('member', { id: town.groups.ours })),
    foreign('cursor', 'bad_request', 'of another operation', (town) =>
      town.as('owner', { id: town.groups.ours, cursor: 'o.1.1' }),
    ),
  ],
  'groups.approve': [
    ...ofWaiting(),
    refuses('too_many_members', 'into a group that is full', (town) =>
      town.as('full', { id: town.groups.packed, uid: town.who('waiting') }),
    ),
  ],
  'groups.reject': ofWaiting(),

  'rooms.create': [
    refusesTheWord((town) => town.as('owner', { name: BANNED_WORD })),
    foreign('avatar', 'unknown_media', 'a file of somebody else', async (town) =>
      town.as('owner', { name: 'x', avatar: await uploadForeign(town) }),
    ),
  ],
  'rooms.list': [
    foreign('cursor', 'bad_request', 'of another operation', (town) => town.as('owner', { cursor: '5.x' })),
  ],
  'rooms.join': [
    ...ofRoom(),
    refuses('unknown_group', 'a room that was dissolved', async (town) => {
      const { id } = await town.do<{ id: string }>('owner', 'rooms.create', { name: 'short' })
      await town.do('owner', 'groups.dissolve', { id })
      return town.as('stranger', { id })
    }),
    refuses('banned', 'by who is banned', (town) => town.as('banned', { id: town.groups.room })),
    refuses('banned', 'by who is banned where nothing is kept', (town) =>
      town.as('banned', { id: town.groups.liveRoom }),
    ),
    refuses('too_many_members', 'one that is full', (town) =>
      town.as('stranger', { id: town.groups.packedRoom }),
    ),
    refuses('connection_required', 'one that keeps no entries, over HTTP', (town) =>
      town.as('stranger', { id: town.groups.liveRoom }),
    ),
    refuses('too_many_watches', 'one more than a connection is in', sitInRooms),
  ],
  'rooms.leave': [
    ...ofRoom(),
    refuses('unknown_group', 'one that the caller is not in', (town) =>
      town.as('stranger', { id: town.groups.room }),
    ),
    refuses('unknown_group', 'a group by its member', (town) => town.as('member', { id: town.groups.ours })),
    refuses('connection_required', 'one that keeps no entries, over HTTP', (town) =>
      town.as('stranger', { id: town.groups.liveRoom }),
    ),
  ],
}
