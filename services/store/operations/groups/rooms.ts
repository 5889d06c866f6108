/** Open rooms: groups that everybody finds, joins and leaves. */
import { WochatError } from '../../../../protocol/errors.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { StoredPart } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { makeGroup } from './groups.ts'
import { joinRoom } from './joining.ts'
import { badCursor, lockGroup, lockPeople } from './lookup.ts'
import { leave } from './members.ts'

/** Rooms that one call of a search looks at. */
const SEARCHED_EACH = 1000

type RoomRow = {
  log: number
  id: string
  name: string
  avatar: string | null
  about: string | null
  members: number
  keepsEntries: number
  createdAt: number
}

export const roomOperations: StoredPart<'rooms.'> = {
  async 'rooms.create'(tx, { caller, keepsEntries = true, ...profile }) {
    const owner = { uid: caller.uid, account: await tx.ensureAccount(caller.uid) }
    const log = await makeGroup(tx, caller, [owner], { kind: 'room', keepsEntries, ...profile })
    return { id: log.name as string }
  },

  async 'rooms.list'(tx, { query, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : (await tx.findLog(cursor))?.n
    if (before === undefined) throw badCursor()
    const read = query === undefined ? limit : SEARCHED_EACH
    const rows = await readRooms(tx, before, read)
    const wanted = query?.toLowerCase() ?? ''
    const found = rows.filter(({ name }) => name.toLowerCase().includes(wanted))
    const page = found.slice(0, limit)
    // After the last one that is shown; of a page that is not full, after all that were looked at.
    const last = page.length < found.length || query === undefined ? page.at(-1) : rows.at(-1)
    const isMore = rows.length === read || page.length < found.length
    return {
      items: page.map(({ log, avatar, about, keepsEntries, ...room }) => ({
        ...room,
        ...(avatar !== null && { avatar }),
        ...(about !== null && { about }),
        keepsEntries: keepsEntries === 1,
      })),
      ...(isMore && last !== undefined && { cursor: last.id }),
    }
  },

  async 'rooms.join'(tx, { caller, id }) {
    await joinRoom(tx, caller, id)
    return {}
  },

  async 'rooms.leave'(tx, { caller, id }) {
    await lockPeople(tx, caller)
    const group = await lockGroup(tx, caller, id)
    if (group.kind !== 'room') throw new WochatError('unknown_group')
    await leave(tx, caller, group)
    return {}
  },
}

function readRooms(tx: Transaction, before: number, limit: number): Promise<RoomRow[]> {
  return tx.query<RoomRow>(
    `select chat_group.log, log.name as id, chat_group.name, chat_group.avatar, chat_group.about,
       chat_group.members, chat_group.keeps_entries as "keepsEntries", chat_group.created_at as "createdAt"
     from chat_group join log on log.n = chat_group.log
     where chat_group.kind = 'room' and chat_group.kind <> 'group' and chat_group.log < $1
       and chat_group.dissolved_at is null
     order by chat_group.log desc limit $2`,
    [before, limit],
  )
}
