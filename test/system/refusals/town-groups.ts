/** The groups and rooms of the town. */
import { inTurns } from '../../harness/people.ts'
import { GROUP_MEMBERS_MAX, type Town } from './town.ts'

export type Groups = {
  /** Of the owner: with admins, members, one who is muted, one who left, one who is banned, and some who wait to join. */
  ours: string
  /** Where only admins write and invite; of the owner, with a member. */
  quiet: string
  /** With as many who wait to join as allowed; of the owner. */
  crowded: string
  /** With as many members, admins and links as allowed; of `full`. One waits to join. */
  packed: string
  dissolved: string
  room: string
  packedRoom: string
  /** Keeps no entries. */
  liveRoom: string
  /** Links of ours: one that stands, one that was ended, one that was used as often as it may be. */
  link: string
  endedLink: string
  usedLink: string
  crowdedLink: string
  liveRoomLink: string
}

const LINKS_MAX = 100
const ADMINS_MAX = 50
const ADDED_EACH = 500

export async function buildGroups(town: Town): Promise<Groups> {
  const create = async (role: string, name: string, members: readonly string[]) => {
    const { id } = await town.do<{ id: string }>(role, 'groups.create', { name, members })
    town.places.set(id, town.who(role))
    return id
  }
  const createRoom = async (name: string, keepsEntries = true) => {
    const { id } = await town.do<{ id: string }>('owner', 'rooms.create', { name, keepsEntries })
    town.places.set(id, town.who('owner'))
    return id
  }
  const linkTo = async (role: string, id: string, params: object = {}) =>
    (await town.do<{ token: string }>(role, 'groups.createLink', { id, ...params })).token
  const uids = (...roles: string[]) => roles.map((role) => town.who(role))

  const ours = await create(
    'owner',
    'ours',
    uids('admin', 'peer', 'member', 'other', 'muted', 'left', 'banned'),
  )
  for (const role of ['admin', 'peer']) {
    await town.do('owner', 'groups.setRole', { id: ours, uid: town.who(role), role: 'admin' })
  }
  const link = await linkTo('owner', ours)
  const endedLink = await linkTo('owner', ours)
  await town.do('owner', 'groups.endLink', { token: endedLink })
  const usedLink = await linkTo('owner', ours, { usesMax: 1 })
  await town.do('owner', 'groups.update', { id: ours, approval: true })
  await town.do('waiting', 'groups.join', { token: link })
  await town.do('candidate', 'groups.join', { token: usedLink })

  const quiet = await create('owner', 'quiet', uids('member'))
  const dissolved = await create('owner', 'dissolved', uids('member'))
  await town.do('owner', 'groups.dissolve', { id: dissolved })
  town.places.delete(dissolved)

  const crowded = await create('owner', 'crowded', uids('full', 'member'))
  const crowdedLink = await linkTo('owner', crowded)
  await town.do('owner', 'groups.update', { id: crowded, approval: true })
  await town.do('waiting', 'groups.join', { token: crowdedLink })
  for (let start = 0; start < town.crowd.length; start += ADDED_EACH) {
    const members = town.crowd.slice(start, start + ADDED_EACH)
    await town.do('full', 'groups.add', { id: crowded, members })
  }

  const packed = await create('full', 'packed', town.crowd.slice(0, GROUP_MEMBERS_MAX - 1))
  await town.do('full', 'groups.update', { id: packed, approval: true })
  await inTurns(town.crowd.slice(0, ADMINS_MAX), 8, async (uid) => {
    await town.do('full', 'groups.setRole', { id: packed, uid, role: 'admin' })
  })
  const links = Array.from({ length: LINKS_MAX }, () => packed)
  await inTurns(links, 8, async (id) => void (await linkTo('full', id)))
  const { items } = await town.do<{ items: { token: string }[] }>('full', 'groups.links', { id: packed })
  await town.do('waiting', 'groups.join', { token: items[0]!.token })

  const room = await createRoom('room')
  const packedRoom = await createRoom('packed room')
  await town.do('other', 'rooms.join', { id: packedRoom })
  const liveRoom = await createRoom('live room', false)
  const liveRoomLink = await linkTo('owner', liveRoom)
  for (const id of [room, liveRoom]) {
    await town.do('owner', 'groups.ban', { id, uid: town.who('banned') })
  }
  const tokens = { link, endedLink, usedLink, crowdedLink, liveRoomLink }
  return { ours, quiet, crowded, packed, dissolved, room, packedRoom, liveRoom, ...tokens }
}
