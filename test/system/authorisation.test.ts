/**
 * Who may do what: every operation of the catalogue, called by everybody there is in relation to one group and its owner.
 * A refusal changes nothing, and what it says is the same for what is not there and what may not be seen.
 */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { CATALOGUE, OPERATION_NAMES, type OperationName } from '../../protocol/catalogue/catalogue.ts'
import type { Operation } from '../../protocol/catalogue/operation.ts'
import { admin as operate } from '../harness/admin.ts'
import type { InboxEntry } from '../harness/device.ts'
import { directLog, makeGroup, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'

const server = sharedServer({
  env: { WOCHAT_CALLS_PER_SECOND_MAX: '0', WOCHAT_RARE_CALLS_PER_HOUR_MAX: '0' },
})

/** In relation to the owner and their group; `blocked` was a friend, and the owner has blocked them. */
const ROLES = ['stranger', 'friend', 'blocked', 'member', 'admin', 'owner'] as const
type Role = (typeof ROLES)[number]

/** A group of four with one message of `other`, its owner's friends, and somebody who waits to join. */
type Scene = {
  uid: Readonly<Record<Role | 'other' | 'waiting', string>>
  group: string
  room: string
  log: string
  direct: string
  link: string
  media: string
}

let foreign: string[] | undefined

/** Of another app, and of an issuer that is not trusted. */
function foreignTokens(): string[] {
  const uid = newUid('tenant')
  foreign ??= [
    server.token(uid, null, { audience: 'another-app' }),
    server.token(uid, null, { issuer: 'https://idp.another.example' }),
  ]
  return foreign
}

const tokens = new Map<string, string>()

/** One signature a person: there are thousands of calls. */
function tokenOf(uid: string): string {
  const token = tokens.get(uid) ?? server.token(uid, null)
  tokens.set(uid, token)
  return token
}

async function createScene(): Promise<Scene> {
  const uid = Object.fromEntries(
    [...ROLES, 'other', 'waiting'].map((name) => [name, newUid(name)]),
  ) as Scene['uid']
  const { friend, blocked, member, admin, owner, other, waiting } = uid
  await operate(server, 'importAccounts', { accounts: Object.values(uid).map((one) => ({ uid: one })) })
  await operate(server, 'importContacts', {
    pairs: [friend, blocked, member, admin, other].map((a) => ({ a, b: owner })),
  })
  await server.http('contacts.block', { uid: blocked }, tokenOf(owner))
  const group = await makeGroup(server, owner, [member, admin, other])
  await server.http('groups.setRole', { id: group, uid: admin, role: 'admin' }, tokenOf(owner))
  await server.http('groups.update', { id: group, approval: true }, tokenOf(owner))
  const { token } = await server.http<{ token: string }>('groups.createLink', { id: group }, tokenOf(owner))
  await server.http('groups.join', { token }, tokenOf(waiting))
  const { id: room } = await server.http<{ id: string }>('rooms.create', { name: 'room' }, tokenOf(owner))
  await server.http('messages.send', { id: 'g1', to: group, text: 'hello' }, tokenOf(other))
  await server.http('messages.send', { id: 'd1', to: owner, text: 'hello' }, tokenOf(other))
  const sha256 = createHash('sha256').update('x').digest('hex')
  const { id: media } = await server.http<{ id: string }>(
    'media.create',
    { bytes: 1, sha256 },
    tokenOf(owner),
  )
  return { uid, group, room, log: group, direct: directLog(owner, other), link: token, media }
}

let shared: Promise<Scene> | undefined

/** The scene of all operations that leave it as it is. */
function untouched(): Promise<Scene> {
  shared ??= createScene()
  return shared
}

/** Seq of the message of `other` in the group: after created, role, updated, and what the link and the request told. */
async function messageSeq({ group, uid }: Scene): Promise<number> {
  const { entries } = await pageOf(group, uid.owner)
  return entries.find(({ kind }) => kind === 'message')!.seq
}

const pageOf = (log: string, uid: string) =>
  server.http<{ entries: InboxEntry[] }>('messages.page', { log, limit: 200 }, tokenOf(uid))

/** What an outsider's call must not change: the group, who is in, what was said, and what the owner knows of others. */
async function lookAt({ group, uid }: Scene): Promise<unknown> {
  const as = tokenOf(uid.owner)
  const call = (name: OperationName, params: object) => server.http(name, params, as)
  return [
    await call('groups.get', { id: group }),
    await call('groups.members', { id: group }),
    await call('groups.bans', { id: group }),
    await call('messages.pins', { log: group }),
    (await pageOf(group, uid.owner)).entries,
    await call('contacts.list', {}),
    await call('profile.get', {}),
  ]
}

// ---------------------------------------------------------------- the table

type Params = (scene: Scene & { seq: number; me: string }) => Record<string, unknown>

/**
 * Outcomes in the order of {@link ROLES}: `ok`, or the code of the refusal. What only touches the caller's own leaves the
 * scene as it is.
 */
type Row = { params: Params; outcomes: readonly string[]; isOwn: boolean }

const all = (params: Params, outcome = 'ok'): Row => ({
  params,
  outcomes: ROLES.map(() => outcome),
  isOwn: true,
})
const each = (params: Params, ...outcomes: string[]): Row => ({ params, outcomes, isOwn: false })
/** Of the group: whoever is not in it must not learn that it is there. */
const members = (params: Params, member = 'ok', admin = 'ok', owner = 'ok'): Row =>
  each(params, 'unknown_group', 'unknown_group', 'unknown_group', member, admin, owner)
const readers = (params: Params, member = 'ok', admin = 'ok', owner = 'ok'): Row =>
  each(params, 'unknown_log', 'unknown_log', 'unknown_log', member, admin, owner)

const PUBLIC = null
const EVERYBODY = ROLES.map(() => 'ok')

const TABLE: Readonly<Record<OperationName, Row | typeof PUBLIC>> = {
  'auth.requestCode': PUBLIC,
  'auth.login': PUBLIC,
  'auth.refresh': PUBLIC,
  'auth.logout': all(() => ({}), 'device_required'),
  'auth.devices': all(() => ({})),
  'auth.revoke': all(() => ({ deviceId: 'none' })),

  'contacts.request': each(
    ({ uid }) => ({ uid: uid.owner }),
    ...['ok', 'ok', 'ok', 'ok', 'ok', 'bad_request'],
  ),
  'contacts.accept': all(({ uid }) => ({ uid: uid.owner }), 'no_request'),
  'contacts.refuse': all(({ uid }) => ({ uid: uid.owner }), 'no_request'),
  'contacts.update': each(
    ({ uid }) => ({ uid: uid.owner, remark: 'Boss' }),
    ...['not_a_contact', 'ok', 'ok', 'ok', 'ok', 'not_a_contact'],
  ),
  'contacts.list': all(() => ({})),
  'contacts.changes': all(() => ({ since: 0 })),
  'contacts.remove': each(({ uid }) => ({ uid: uid.owner }), ...EVERYBODY),
  'contacts.block': each(({ uid }) => ({ uid: uid.owner }), 'ok', 'ok', 'ok', 'ok', 'ok', 'bad_request'),
  'contacts.unblock': all(({ uid }) => ({ uid: uid.owner })),

  'groups.create': all(() => ({ name: 'mine' })),
  'groups.get': members(({ group }) => ({ id: group })),
  'groups.list': all(() => ({})),
  'groups.changes': all(() => ({})),
  'groups.update': members(({ group }) => ({ id: group, name: 'renamed' }), 'not_admin'),
  'groups.announce': members(({ group }) => ({ id: group, text: 'hear' }), 'not_admin'),
  'groups.setRole': members(
    ({ group, uid }) => ({ id: group, uid: uid.other, role: 'admin' }),
    ...(['not_owner', 'not_owner'] as const),
  ),
  'groups.transfer': members(({ group, uid }) => ({ id: group, uid: uid.other }), 'not_owner', 'not_owner'),
  'groups.mute': members(({ group, uid }) => ({ id: group, uid: uid.other, untilMs: 2 ** 42 }), 'not_admin'),
  'groups.dissolve': members(({ group }) => ({ id: group }), 'not_owner', 'not_owner'),
  'groups.add': members(
    ({ group, uid }) => ({ id: group, members: [uid.friend] }),
    'users_refused',
    'users_refused',
  ),
  'groups.remove': members(({ group, uid }) => ({ id: group, members: [uid.other] }), 'not_admin'),
  'groups.leave': members(({ group }) => ({ id: group })),
  'groups.members': members(({ group }) => ({ id: group })),
  'groups.setNickname': members(
    ({ group, uid }) => ({ id: group, uid: uid.other, nickname: 'Nick' }),
    'not_admin',
  ),
  'groups.ban': members(({ group, uid }) => ({ id: group, uid: uid.other }), 'not_admin'),
  'groups.unban': members(({ group, uid }) => ({ id: group, uid: uid.other }), 'not_admin'),
  'groups.bans': members(({ group }) => ({ id: group }), 'not_admin'),
  'groups.createLink': members(({ group }) => ({ id: group })),
  'groups.links': members(({ group }) => ({ id: group })),
  'groups.endLink': each(
    ({ link }) => ({ token: link }),
    ...Array(3).fill('link_ended'),
    'not_admin',
    'ok',
    'ok',
  ),
  'groups.join': each(({ link }) => ({ token: link }), ...EVERYBODY),
  'groups.requests': members(({ group }) => ({ id: group }), 'not_admin'),
  'groups.approve': members(({ group, uid }) => ({ id: group, uid: uid.waiting }), 'not_admin'),
  'groups.reject': members(({ group, uid }) => ({ id: group, uid: uid.waiting }), 'not_admin'),

  'rooms.create': all(() => ({ name: 'mine' })),
  'rooms.list': all(() => ({})),
  'rooms.join': all(({ room }) => ({ id: room })),
  'rooms.leave': each(({ room }) => ({ id: room }), ...Array(5).fill('unknown_group'), 'ok'),

  'conversations.list': all(() => ({})),
  'conversations.changes': all(() => ({ since: 0 })),
  'conversations.update': readers(({ log }) => ({ log, pinned: true })),
  'conversations.clear': readers(({ log }) => ({ log })),
  'conversations.read': readers(({ log, seq }) => ({ log, seq })),
  'conversations.readAll': all(() => ({})),
  'conversations.badge': all(() => ({})),

  'messages.receipts': each(({ direct }) => ({ log: direct }), ...Array(5).fill('unknown_log'), 'ok'),
  'messages.readers': readers(({ log, seq }) => ({ log, seq })),
  'messages.send': each(
    ({ uid }) => ({ to: uid.owner, text: 'hi' }),
    ...['not_friends', 'ok', 'blocked', 'ok', 'ok', 'ok'],
  ),
  'messages.edit': readers(({ log, seq }) => ({ log, seq, body: { text: 'changed' } }), ...AUTHOR_ALONE()),
  'messages.recall': readers(({ log, seq }) => ({ log, seq }), 'not_author'),
  'messages.react': readers(({ log, seq }) => ({ log, seq, emoji: '👍' })),
  'messages.reactions': readers(({ log, seq }) => ({ log, seq })),
  'messages.delete': readers(({ log, seq }) => ({ log, seqs: [seq] })),
  'messages.pin': readers(({ log, seq }) => ({ log, seq }), 'not_admin'),
  'messages.unpin': readers(({ log, seq }) => ({ log, seq }), 'not_admin'),
  'messages.pins': readers(({ log }) => ({ log })),
  'messages.page': readers(({ log }) => ({ log })),
  'messages.forward': readers(({ log, seq, me }) => ({ log, seqs: [seq], to: [me] })),
  'messages.schedule': all(({ me }) => ({ to: me, text: 'later', at: Date.now() + 3_600_000 })),
  'messages.scheduled': all(() => ({})),
  'messages.unschedule': all(() => ({ id: 'none' }), 'unknown_schedule'),
  'messages.get': readers(({ log, seq }) => ({ log, seqs: [seq] })),
  'messages.search': all(() => ({ query: 'hello' })),

  'profile.get': all(({ uid }) => ({ uids: [uid.owner] })),
  'profile.set': all(() => ({ name: 'Name' })),
  'settings.get': all(() => ({})),
  'settings.set': all(() => ({ language: 'de' })),
  'settings.changes': all(() => ({ since: 0 })),
  'accounts.search': all(({ uid }) => ({ query: uid.owner })),
  'accounts.deactivate': each(() => ({}), ...EVERYBODY),
  'accounts.export': all(() => ({})),
  'accounts.erase': each(({ uid }) => ({ confirm: uid.owner }), ...Array(5).fill('bad_request'), 'ok'),

  'presence.get': all(({ uid }) => ({ uids: [uid.owner] })),
  'presence.watch': all(({ uid }) => ({ uids: [uid.owner] }), 'connection_required'),
  'presence.unwatch': all(() => ({}), 'connection_required'),
  'presence.ofGroup': members(({ group }) => ({ id: group })),

  'media.create': all(() => ({ bytes: 1, sha256: 'a'.repeat(64) })),
  'media.complete': each(
    ({ media }) => ({ id: media }),
    ...Array(5).fill('unknown_media'),
    'media_incomplete',
  ),
  'media.get': each(({ media }) => ({ id: media }), ...Array(5).fill('unknown_media'), 'ok'),
  'media.link': all(({ media }) => ({ id: media }), 'unknown_media'),
  'media.list': all(() => ({})),
  'media.delete': each(({ media }) => ({ id: media }), ...EVERYBODY),
  'media.usage': all(() => ({})),

  'reports.create': readers(({ log, seq }) => ({ log, seq, reason: 'spam' })),
}

function AUTHOR_ALONE(): ['not_author', 'not_author', 'not_author'] {
  return ['not_author', 'not_author', 'not_author']
}

// ---------------------------------------------------------------- the test

const outcomeOf = (name: OperationName, params: object, token: string): Promise<string> =>
  server.http(name, params, token).then(
    () => 'ok',
    (error: { code?: string }) => error.code ?? String(error),
  )

describe.each(OPERATION_NAMES.filter((name) => TABLE[name] !== PUBLIC))('%s', (name) => {
  const { params, outcomes, isOwn } = TABLE[name]!
  const operation: Operation = CATALOGUE[name]

  test('is for whom the table says, and a refusal changes nothing', async () => {
    const touchesScene = operation.mutating && !isOwn
    let scene = touchesScene ? await createScene() : await untouched()
    let seq = await messageSeq(scene)
    let before = touchesScene ? await lookAt(scene) : null
    const found: Record<string, string> = {}
    for (const role of ROLES) {
      const me = scene.uid[role]
      const outcome = await outcomeOf(name, params({ ...scene, seq, me }), tokenOf(me))
      found[role] = outcome
      if (!touchesScene) continue
      if (outcome !== 'ok') expect(await lookAt(scene), `${role}: ${outcome}`).toEqual(before)
      else if (role !== 'owner') {
        scene = await createScene()
        seq = await messageSeq(scene)
        before = await lookAt(scene)
      }
    }
    expect(found).toEqual(Object.fromEntries(ROLES.map((role, i) => [role, outcomes[i]])))
  })

  test('is closed to a token of another tenant', async () => {
    for (const token of foreignTokens()) expect(await outcomeOf(name, {}, token)).toBe('unauthenticated')
  })
})
