/** The people, conversations and files that the situations share: as they only meet refusals, it stays as it was built. */

import { admin } from '../../harness/admin.ts'
import { Device } from '../../harness/device.ts'
import { newUid } from '../../harness/people.ts'
import type { TestServer } from '../../harness/server.ts'
import { BANNED_WORD, type Call } from './situation.ts'
import { buildGroups, type Groups } from './town-groups.ts'
import { type Said, say } from './town-messages.ts'
import { type OperatorThings, setUp } from './town-operator.ts'
import { befriendTown, quarrel } from './town-people.ts'

/** Bounds of the server that are reached with few calls. */
export const CONTACTS_MAX = 1000
export const GROUP_MEMBERS_MAX = 52
export const BOUNDS = {
  WOCHAT_CONTACTS_PER_ACCOUNT_MAX: `${CONTACTS_MAX}`,
  WOCHAT_GROUP_MEMBERS_MAX: `${GROUP_MEMBERS_MAX}`,
  WOCHAT_ROOM_MEMBERS_MAX: '2',
  WOCHAT_RECEIPT_MEMBERS_MAX: '50',
  WOCHAT_DEVICES_PER_ACCOUNT_MAX: '2',
  WOCHAT_MEDIA_BYTES_MAX: '64KB',
  WOCHAT_MEDIA_QUOTA_BYTES: '256KB',
  WOCHAT_MEDIA_UPLOADS_MAX: '5',
  WOCHAT_COSTLY_CALLS_PER_MINUTE_MAX: '0',
  WOCHAT_RARE_CALLS_PER_HOUR_MAX: '0',
  WOCHAT_BROADCASTS_PER_SECOND_MAX: '1',
}

const ROLES = [
  // Of the groups
  ...['owner', 'admin', 'peer', 'member', 'other', 'muted', 'late', 'left', 'banned', 'waiting', 'candidate'],
  // Of direct conversations with anna: a friend, one who is none any more, who blocked her, whose account rests
  ...['anna', 'ben', 'ex', 'wall', 'sleeper'],
  // Who takes no requests, refused one, is not to be found, swallows what the pest writes
  ...['closed', 'refuser', 'hidden', 'swallower', 'pest'],
  // Who has as many contacts, planned messages, bytes and uploads as allowed, or rooms
  ...['full', 'planner', 'hoarder', 'uploader', 'host'],
  'stranger',
] as const

/** What those who are connected have. */
export const DEVICE = 'phone'

/** Under which everybody has made a call. */
export const USED_REQUEST = 'used-request-id'

export class Town {
  readonly server: TestServer
  readonly uid: ReadonlyMap<string, string>
  /** Friends of `full`, who have nobody else. */
  readonly crowd: readonly string[]
  /** Conversations and groups, each with somebody who sees all of it. */
  readonly places = new Map<string, string>()
  readonly #tokens = new Map<string, string>()
  groups!: Groups
  said!: Said
  operator!: OperatorThings

  private constructor(server: TestServer) {
    this.server = server
    this.uid = new Map(ROLES.map((role) => [role, newUid(role)]))
    this.crowd = Array.from({ length: CONTACTS_MAX - 1 }, () => newUid('crowd'))
  }

  static async build(server: TestServer): Promise<Town> {
    const town = new Town(server)
    const word = { word: BANNED_WORD, action: 'reject' as const }
    await admin(server, 'setWords', { words: [word] })
    await befriendTown(town)
    town.groups = await buildGroups(town)
    town.said = await say(town)
    await quarrel(town)
    town.operator = await setUp(town)
    for (const uid of town.awake) {
      await town.call('settings.set', uid, { language: 'de', requestId: USED_REQUEST })
    }
    return town
  }

  /** The uid of a role. */
  who(role: string): string {
    const uid = this.uid.get(role)
    if (uid === undefined) throw new Error(`nobody is the ${role}`)
    return uid
  }

  /** All whose view may be taken: who looks wakes a resting account. */
  get awake(): string[] {
    return [...this.uid].flatMap(([role, uid]) => (role === 'sleeper' ? [] : [uid]))
  }

  /** One signature a person: there are thousands of calls. */
  token(uid: string): string {
    const token = this.#tokens.get(uid) ?? this.server.token(uid, null)
    this.#tokens.set(uid, token)
    return token
  }

  call<T = Record<string, unknown>>(operation: string, uid: string, params: object): Promise<T> {
    return this.server.http<T>(operation, params, this.token(uid))
  }

  /** A call that succeeds, of a role. */
  do<T = Record<string, unknown>>(role: string, operation: string, params: object): Promise<T> {
    return this.call<T>(operation, this.who(role), params)
  }

  /** The call of a situation. */
  as<Params>(role: string, params: Params): Call<Params> {
    return { as: this.who(role), params }
  }

  /** A connection for calls that last as long as it, and for minutes of silence: no keep-alive closes it. */
  connect(role: string, device = DEVICE): Promise<Device> {
    return Device.connect(this.server, this.who(role), device, { connect: { keepalive: 0 } })
  }

  /** The id of the direct conversation of two roles. */
  direct(a: string, b: string): string {
    const [first, second] = [this.who(a), this.who(b)].sort((x, y) => (x < y ? -1 : 1))
    return `d:${first}:${second}`
  }
}
