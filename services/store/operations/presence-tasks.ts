/** What presence and typing ask of the store: who may see whom, who may write where, and when devices were seen. */
import { WochatError } from '../../../protocol/errors.ts'
import { type DeviceId, type LogId, peerOf, type UserId } from '../../../protocol/ids.ts'
import type { Caller } from '../contract.ts'
import { getGroup } from './groups/lookup.ts'
import { rightIn } from './messages/rights.ts'
import { defaultSettings } from './people/settings.ts'
import type { Person, Transaction } from './transaction.ts'

/** Members of one page of {@link presenceTasks.pageMembersSeen}. */
const PAGE_MEMBERS = 500

/** A person as the reader may see them; `lastSeen` null: hidden, or never connected. */
export type SeenPerson = { uid: UserId; isVisible: boolean; lastSeen: number | null }

/** A member's place in their group: the seq that let them in, and their number. */
export type MemberPlace = { joined: number; n: number }

/** What a person may do in a conversation, live. */
export type LiveRights = {
  mayWrite: boolean
  /** Of a group; 2 of a direct conversation. */
  members: number
  /** The other person of a direct conversation is told how far this one has read. */
  tellsRead: boolean
}

const NO_RIGHTS: LiveRights = { mayWrite: false, members: 2, tellsRead: false }

type Row = {
  uid: UserId
  state: string
  shownTo: string | null
  contact: string | null
  blocked: number | null
  seenAt: number | null
}

const SEEN_COLUMNS = `account.uid, account.state, setting.value as "shownTo", contact.state as contact, contact.blocked,
  (select max(device.seen_at) from device where device.account = account.n) as "seenAt"`

/** Their setting, and what they say of the reader ($1). */
const SEEN_JOINS = `left join setting on setting.account = account.n and setting.name = 'lastSeenTo'
  left join contact on contact.account = account.n and contact.peer = $1`

export const presenceTasks = {
  /** The people who exist, in no order, as the reader may see them. */
  async lookAt(tx: Transaction, { reader, uids }: { reader: UserId; uids: readonly string[] }) {
    const me = (await tx.findAccount(reader)) ?? 0
    const rows = await tx.query<Row>(
      `select ${SEEN_COLUMNS} from ${tx.list('$2', 'text')} as wanted
       join account on account.uid = wanted.value ${SEEN_JOINS}`,
      [me, uids],
    )
    return rows.map((row) => seenPerson(tx, reader, row))
  },

  /** Members of a group of the reader, in the order of their joining, after a place; refuses `unknown_group`. */
  async pageMembersSeen(
    tx: Transaction,
    { reader, group, after }: { reader: Caller; group: string; after: MemberPlace },
  ): Promise<{ people: SeenPerson[]; next: MemberPlace | null }> {
    const { log, me } = await getGroup(tx, reader, group)
    const rows = await tx.query<Row & { n: number; joined: number }>(
      `select members.account as n, members.from_seq as joined, ${SEEN_COLUMNS} from (
         select account, from_seq from membership
         where log = $2 and to_seq is null and (from_seq, account) > ($3, $4)
         order by from_seq, account limit $5) as members
       join account on account.n = members.account ${SEEN_JOINS}
       order by members.from_seq, members.account`,
      [me.account, log.n, after.joined, after.n, PAGE_MEMBERS],
    )
    const last = rows.at(-1)
    const people = rows.map((row) => seenPerson(tx, reader.uid, row))
    const next = last === undefined || rows.length < PAGE_MEMBERS ? null : { joined: last.joined, n: last.n }
    return { people, next }
  },

  /** A room that keeps no entries, by its id; null of anything else. */
  async findLiveRoom(
    tx: Transaction,
    { uid, room }: { uid: UserId; room: string },
  ): Promise<{ isBanned: boolean } | null> {
    const log = await tx.findLog(room)
    if (log === undefined) return null
    const row = await tx.first<{ bans: number }>(
      `select (select count(*) from group_ban join account on account.n = group_ban.account
         where group_ban.log = chat_group.log and account.uid = $2
           and (group_ban.until is null or group_ban.until > $3)) as bans
       from chat_group where log = $1 and kind = 'room' and keeps_entries = 0 and dissolved_at is null`,
      [log.n, uid, tx.now],
    )
    return row === undefined ? null : { isBanned: row.bans > 0 }
  },

  /** Notes that devices were connected until a time, ms; one that was revoked stays so. */
  async noteDevicesSeen(
    tx: Transaction,
    { devices }: { devices: readonly { uid: UserId; device: DeviceId; at: number }[] },
  ): Promise<null> {
    for (const { uid, device, at } of devices) {
      await tx.query(
        `update device set seen_at = $3 where id = $2 and seen_at < $3 and revoked_at is null
         and account = (select n from account where uid = $1)`,
        [uid, device, Math.min(at, tx.now)],
      )
    }
    return null
  },

  async findLiveRights(tx: Transaction, { uid, log }: { uid: UserId; log: LogId }): Promise<LiveRights> {
    const account = await tx.findAccount(uid)
    if (account === undefined) return NO_RIGHTS
    const peer = peerOf(log, uid)
    if (peer === null) return groupRights(tx, { uid, account }, log)
    return directRights(tx, { uid, account }, log, peer)
  },
}

function seenPerson(tx: Transaction, reader: UserId, row: Row): SeenPerson {
  const isVisible = row.uid === reader || isShown(tx, row)
  return { uid: row.uid, isVisible, lastSeen: isVisible ? row.seenAt : null }
}

function isShown(tx: Transaction, { state, shownTo, contact, blocked }: Row): boolean {
  if (state !== 'active' || blocked === 1) return false
  const to = shownTo === null ? defaultSettings(tx.policy).lastSeenTo : JSON.parse(shownTo)
  return to === 'everybody' || (to === 'friends' && contact === 'friend')
}

async function directRights(tx: Transaction, me: Person, log: LogId, peer: UserId): Promise<LiveRights> {
  const { refusal, withheld } = await rightIn(tx, me, { n: 0, name: log }, 'write')
  const row = await tx.first<{ blocked: number | null; receipts: string | null }>(
    `select contact.blocked, setting.value as receipts
     from account as peer
     left join contact on contact.account = peer.n and contact.peer = $1
     left join setting on setting.account = $1 and setting.name = 'sendReadReceipts'
     where peer.uid = $2`,
    [me.account, peer],
  )
  return {
    mayWrite: me.uid !== peer && refusal === null && !withheld,
    members: 2,
    tellsRead: row !== undefined && row.blocked !== 1 && row.receipts !== 'false',
  }
}

/** In a room that keeps nothing, who may send what is transient may be told to type. */
async function groupRights(tx: Transaction, me: Person, name: LogId): Promise<LiveRights> {
  try {
    const { log, members } = await getGroup(tx, { uid: me.uid, device: null }, name)
    const { refusal } = await rightIn(tx, me, log, 'write')
    return { mayWrite: refusal === null || refusal === 'transient_only', members, tellsRead: false }
  } catch (error) {
    if (error instanceof WochatError && error.code === 'unknown_group') return { ...NO_RIGHTS, members: 0 }
    throw error
  }
}
