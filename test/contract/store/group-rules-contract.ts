import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { type Hands, handsOf } from './group-calls.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  createUid,
  gistOf,
  groupsOf,
  leaveGroup,
  noticesOf,
  readAll,
  refusalOf,
  send,
} from './people.ts'
import { openRawTables } from './raw-tables.ts'

const HOUR = 3_600_000

/** A group of an owner, an admin and two members, all friends. */
async function createCircle(store: Store) {
  const people = await createFriends(store, 'owner', 'admin', 'ann', 'ben')
  const id = await createGroup(store, ...people)
  const [owner, admin, ann, ben] = allHandsOf(store, people)
  await owner.do('groups.setRole', { id, uid: admin.uid, role: 'admin' })
  return { id, owner, admin, ann, ben }
}

function allHandsOf<People extends readonly Caller[]>(
  store: Store,
  people: People,
): { [Index in keyof People]: Hands } {
  return people.map((person) => handsOf(store, person)) as { [Index in keyof People]: Hands }
}

type Shared = () => Store

export function groupRulesContract(engine: () => StoreEngine): void {
  describe('groups', () => {
    const shared = shareStore(engine)
    describe('roles', () => roles(shared))
    describe('rules', () => rules(shared))
    describe('lists and changes of them', () => lists(shared))
  })

  describe('groups with few places', () => {
    const shared = shareStore(engine, { policy: { roomMembersMax: 3 } })
    describe('links', () => links(shared))
    describe('bans', () => bans(engine, shared))
    describe('rooms', () => rooms(shared))
  })
}

function roles(shared: Shared): void {
  test('each role may do what it may: members nothing, admins rule members, the owner all', async () => {
    const store = shared()
    const { id, owner, admin, ann, ben } = await createCircle(store)
    const stranger = handsOf(store, { uid: createUid('eve'), device: null })
    const ruling = [
      ['groups.update', { id, name: 'x' }],
      ['groups.announce', { id, text: 'x' }],
      ['groups.mute', { id, untilMs: null }],
      ['groups.mute', { id, uid: ben.uid, untilMs: null }],
      ['groups.ban', { id, uid: createUid('eve') }],
      ['groups.unban', { id, uid: ben.uid }],
      ['groups.bans', { id }],
      ['groups.remove', { id, members: [ben.uid] }],
      ['groups.setNickname', { id, uid: ben.uid, nickname: 'x' }],
      ['groups.requests', { id }],
      ['groups.approve', { id, uid: ben.uid }],
      ['groups.reject', { id, uid: ben.uid }],
    ] as const
    for (const [name, params] of ruling) {
      expect([name, await ann.refused(name, params)]).toEqual([name, 'not_admin'])
      expect([name, await stranger.refused(name, params)]).toEqual([name, 'unknown_group'])
    }
    const owning = [
      ['groups.setRole', { id, uid: ben.uid, role: 'admin' }],
      ['groups.transfer', { id, uid: ben.uid }],
      ['groups.dissolve', { id }],
    ] as const
    for (const [name, params] of owning) {
      expect([name, await admin.refused(name, params)]).toEqual([name, 'not_owner'])
      expect([name, await stranger.refused(name, params)]).toEqual([name, 'unknown_group'])
    }
    const onOwner = [
      ['groups.remove', { id, members: [owner.uid] }],
      ['groups.ban', { id, uid: owner.uid }],
      ['groups.mute', { id, uid: owner.uid, untilMs: Date.now() + HOUR }],
    ] as const
    for (const [name, params] of onOwner) {
      expect([name, await admin.refused(name, params as never)]).toEqual([name, 'not_owner'])
    }
    expect(gistOf(await readAll(store, ann, id))).toEqual(['created', 'role'])
    await owner.do('groups.remove', { id, members: [admin.uid] })
    expect(await admin.refused('groups.get', { id })).toBe('unknown_group')
  })

  test('a group given away has one owner, and an owner who leaves gives it to the admin', async () => {
    const store = shared()
    const { id, owner, admin, ann, ben } = await createCircle(store)
    await owner.do('groups.transfer', { id, uid: ben.uid })
    expect(await owner.refused('groups.setRole', { id, uid: ann.uid, role: 'admin' })).toBe('not_owner')
    await leaveGroup(store, ben, id)
    const roles = (await owner.do('groups.members', { id })).members.map(({ uid, role }) => [uid, role])
    expect(roles).toEqual([
      [owner.uid, 'member'],
      [admin.uid, 'owner'],
      [ann.uid, 'member'],
    ])
    expect((await groupsOf(store, ann))[0]?.owner).toBe(admin.uid)
  })

  test('a dissolved group takes nothing more, and stays readable to who was in it', async () => {
    const store = shared()
    const { id, owner, ann, ben } = await createCircle(store)
    const { token } = await owner.do('groups.createLink', { id })
    await send(store, ann, id, 'hello')
    await owner.do('groups.dissolve', { id })
    expect(await refusalOf(send(store, ann, id, 'x'))).toBe('not_member')
    expect(await refusalOf(send(store, owner, id, 'x'))).toBe('not_member')
    expect(await ann.refused('groups.get', { id })).toBe('unknown_group')
    expect(await ann.refused('groups.join', { token })).toBe('link_ended')
    expect(await groupsOf(store, ben)).toEqual([])
    expect(gistOf(await readAll(store, ben, id))).toEqual(['created', 'role', 'hello', 'dissolved'])
  })
}

function rules(shared: Shared): void {
  test('a group says what it is, and every change of it is an entry with what changed', async () => {
    const store = shared()
    const { id, owner, admin, ann } = await createCircle(store)
    await admin.do('groups.update', { id, name: 'Chess', about: 'Mondays', whoPins: 'members' })
    await admin.do('groups.update', { id, name: 'Chess' })
    await admin.do('groups.announce', { id, text: 'Bring a board' })
    await ann.do('groups.setNickname', { id, nickname: 'Annie' })
    await owner.do('groups.update', { id, about: null, whoInvites: 'admins' })
    expect(await ann.do('groups.get', { id })).toEqual({
      id,
      kind: 'group',
      name: 'Chess',
      owner: owner.uid,
      members: 4,
      role: 'member',
      nickname: 'Annie',
      joinedAt: expect.any(Number),
      keepsEntries: true,
      whoWrites: 'members',
      whoInvites: 'admins',
      whoPins: 'members',
      approval: false,
      announcement: { text: 'Bring a board', by: admin.uid, at: expect.any(Number) },
      admins: 2,
      createdAt: expect.any(Number),
    })
    expect((await admin.do('groups.get', { id })).requests).toBe(0)
    expect(
      (await readAll(store, ann, id)).slice(2).map(({ type, from, body }) => ({ type, from, body })),
    ).toEqual([
      { type: 'updated', from: admin.uid, body: { name: 'Chess', about: 'Mondays', whoPins: 'members' } },
      { type: 'announced', from: admin.uid, body: { text: 'Bring a board' } },
      { type: 'nickname', from: ann.uid, body: { uid: ann.uid, nickname: 'Annie' } },
      { type: 'updated', from: owner.uid, body: { about: null, whoInvites: 'admins' } },
    ])
    expect(await ann.refused('groups.add', { id, members: [createUid('x')] })).toBe('not_admin')
    expect(await ann.refused('groups.createLink', { id })).toBe('not_admin')
  })

  test('who is muted, or not an admin where only those write, is refused, also after they came again', async () => {
    const store = shared()
    const { id, owner, admin, ann, ben } = await createCircle(store)
    const untilMs = Date.now() + HOUR
    await send(store, ann, id, 'first')
    await admin.do('groups.mute', { id, uid: ann.uid, untilMs })
    expect(await refusalOf(send(store, ann, id, 'x'))).toBe('muted')
    await leaveGroup(store, ann, id)
    await addMembers(store, owner, id, ann)
    expect(await refusalOf(send(store, ann, id, 'x'))).toBe('muted')
    const { members } = await ben.do('groups.members', { id, role: 'member' })
    expect(members).toMatchObject([{ uid: ben.uid }, { uid: ann.uid, mutedUntil: untilMs }])
    await admin.do('groups.mute', { id, uid: ann.uid, untilMs: null })
    await send(store, ann, id, 'second')
    await owner.do('groups.mute', { id, untilMs })
    expect(await refusalOf(send(store, ben, id, 'x'))).toBe('muted')
    await send(store, admin, id, 'third')
    expect((await ben.do('groups.get', { id })).mutedUntil).toBe(untilMs)
    await owner.do('groups.mute', { id, untilMs: null })
    await owner.do('groups.update', { id, whoWrites: 'admins' })
    expect(await refusalOf(send(store, ann, id, 'x'))).toBe('not_admin')
    await owner.do('groups.setRole', { id, uid: ann.uid, role: 'admin' })
    await send(store, ann, id, 'fourth')
    expect(gistOf(await readAll(store, owner, id)).slice(-1)).toEqual(['fourth'])
  })

  test('a banned member is out, hears why, and comes by nobody and nothing until the ban is taken back', async () => {
    const store = shared()
    const { id, owner, admin, ann, ben } = await createCircle(store)
    const { token } = await owner.do('groups.createLink', { id })
    await admin.do('groups.ban', { id, uid: ann.uid, reason: 'spam' })
    expect((await readAll(store, ann, id)).at(-1)).toMatchObject({ type: 'banned', body: { uid: ann.uid } })
    expect(await refusalOf(send(store, ann, id, 'x'))).toBe('not_member')
    expect(await ann.refused('groups.join', { token })).toBe('banned')
    const added = addMembers(store, owner, id, ann).catch((error: { details: unknown }) => error.details)
    expect(await added).toEqual({ users: [{ uid: ann.uid, code: 'banned' }] })
    expect((await owner.do('groups.bans', { id })).items).toMatchObject([
      { uid: ann.uid, by: admin.uid, reason: 'spam' },
    ])
    await admin.do('groups.unban', { id, uid: ann.uid })
    await admin.do('groups.unban', { id, uid: ann.uid })
    expect(await ann.do('groups.join', { token })).toEqual({ id, state: 'joined' })
    expect(gistOf(await readAll(store, ben, id)).slice(2)).toEqual(['banned', 'unbanned', 'joined'])
  })

  test('approval: who comes by a link or a member waits, admins are told, and decide', async () => {
    const store = shared()
    const { id, owner, admin, ann } = await createCircle(store)
    const [guest, other] = await createFriends(store, 'guest', 'other')
    await store.run({ name: 'contacts.request', caller: ann, params: { uid: other.uid } })
    await store.run({ name: 'contacts.accept', caller: other, params: { uid: ann.uid } })
    await owner.do('groups.update', { id, approval: true })
    const { token } = await ann.do('groups.createLink', { id })
    const coming = handsOf(store, guest)
    const asked = { id, state: 'waiting' }
    expect(await coming.do('groups.join', { token, text: 'It is me' })).toEqual(asked)
    expect(await coming.do('groups.join', { token })).toEqual(asked)
    expect(await addMembers(store, ann, id, other)).toEqual({ added: [], waiting: [other.uid] })
    expect((await admin.do('groups.requests', { id })).items).toMatchObject([
      { uid: guest.uid, text: 'It is me' },
      { uid: other.uid, invitedBy: ann.uid },
    ])
    const notices = (await noticesOf(store, admin)).filter(({ type }) => type === 'joinRequested')
    expect(notices.map(({ body }) => body)).toEqual([
      { group: id, name: 'a group', members: [guest.uid], text: 'It is me' },
      { group: id, name: 'a group', members: [other.uid] },
    ])
    await admin.do('groups.approve', { id, uid: guest.uid })
    await admin.do('groups.reject', { id, uid: other.uid })
    expect(await admin.refused('groups.approve', { id, uid: other.uid })).toBe('no_join_request')
    expect((await noticesOf(store, other)).at(-1)).toEqual({
      type: 'joinRejected',
      body: { group: id, name: 'a group' },
    })
    expect((await readAll(store, guest, id)).map(({ type, body }) => ({ type, body }))).toEqual([
      { type: 'joined', body: { uid: guest.uid, by: admin.uid } },
    ])
  })
}

function lists(shared: Shared): void {
  test('changes tell each device once what became of its groups, and never a list of all', async () => {
    const store = shared()
    const { id, owner, ann, ben } = await createCircle(store)
    const other = await createGroup(store, owner, ann)
    const all = await ann.do('groups.changes', {})
    expect(all.items.map((item) => item.id)).toEqual([id, other])
    const changesOf = async (since: string) => {
      const { items, gone, version } = await ann.do('groups.changes', { since })
      return { names: items.map((item) => [item.id, item.name, item.nickname]), gone, version }
    }
    // Groups that changed a moment ago come again; what this is about is what must not be missing.
    await owner.do('groups.update', { id, name: 'Renamed' })
    await ann.do('groups.setNickname', { id: other, nickname: 'A' })
    const renamed = await changesOf(all.version)
    expect(renamed.names).toEqual(
      expect.arrayContaining([
        [id, 'Renamed', undefined],
        [other, 'a group', 'A'],
      ]),
    )
    await leaveGroup(store, ann, other)
    expect((await changesOf(renamed.version)).gone).toEqual([other])
    await owner.do('groups.dissolve', { id })
    expect((await changesOf(renamed.version)).gone).toEqual([other, id])
    expect(await ben.refused('groups.changes', { since: 'nonsense' })).toBe('bad_request')
  })

  test('a list of groups and its changes come in pages without missing or repeating one', async () => {
    const store = shared()
    const [owner] = await createFriends(store, 'owner')
    const hands = handsOf(store, owner)
    const ids: string[] = []
    for (let n = 0; n < 7; n++) ids.push(await createGroup(store, owner))
    const listed: string[] = []
    for (let cursor: string | undefined, turns = 0; turns < 4; turns++) {
      const page = await hands.do('groups.list', { limit: 3, ...(cursor !== undefined && { cursor }) })
      listed.push(...page.items.map((item) => item.id))
      cursor = page.cursor
      if (cursor === undefined) break
    }
    expect(listed).toEqual(ids)
    const synced: string[] = []
    let page = await hands.do('groups.changes', { limit: 3 })
    synced.push(...page.items.map((item) => item.id))
    while (page.more) {
      page = await hands.do('groups.changes', { since: page.version, limit: 3 })
      synced.push(...page.items.map((item) => item.id))
    }
    expect(synced).toEqual(ids)
  })
}

function links(shared: Shared): void {
  test('a link lets in as many as it may and until it ends; who is in uses none up', async () => {
    const store = shared()
    const { id, owner, ann, ben } = await createCircle(store)
    const [one, two, three] = allHandsOf(store, await createFriends(store, 'one', 'two', 'three'))
    const { token } = await ann.do('groups.createLink', { id, usesMax: 1 })
    expect(await ben.do('groups.join', { token })).toEqual({ id, state: 'joined' })
    expect(await one.do('groups.join', { token })).toEqual({ id, state: 'joined' })
    expect(await two.refused('groups.join', { token })).toBe('link_used_up')
    const soon = Date.now() + 400
    const short = await ann.do('groups.createLink', { id, expiresAt: soon })
    await expect.poll(() => two.refused('groups.join', short).catch(() => 'let in')).toBe('link_ended')
    const kept = await ann.do('groups.createLink', { id })
    expect((await owner.do('groups.links', { id })).items).toMatchObject([
      { token, by: ann.uid, uses: 1, usesMax: 1 },
      { token: kept.token, uses: 0 },
    ])
    expect((await ben.do('groups.links', { id })).items).toEqual([])
    expect(await ben.refused('groups.endLink', kept)).toBe('not_admin')
    expect(await three.refused('groups.endLink', kept)).toBe('link_ended')
    await owner.do('groups.endLink', kept)
    expect(await three.refused('groups.join', kept)).toBe('link_ended')
    expect(await three.refused('groups.join', { id })).toBe('unknown_group')
  })

  test('who waits to be let in uses a link up once, however often they ask', async () => {
    const store = shared()
    const { id, owner } = await createCircle(store)
    const [one, two, three] = allHandsOf(store, await createFriends(store, 'one', 'two', 'three'))
    await owner.do('groups.update', { id, approval: true })
    const { token } = await owner.do('groups.createLink', { id, usesMax: 2 })
    for (const hand of [one, one, one, two, one]) {
      expect(await hand.do('groups.join', { token })).toEqual({ id, state: 'waiting' })
    }
    expect(await three.refused('groups.join', { token })).toBe('link_used_up')
    expect((await owner.do('groups.requests', { id })).items.map(({ uid }) => uid)).toEqual([
      one.uid,
      two.uid,
    ])
  })
}

function bans(engine: () => StoreEngine, shared: Shared): void {
  test('bans as many as it may, and no more until some end', async () => {
    const store = shared()
    const [owner, one, two] = allHandsOf(store, await createFriends(store, 'owner', 'one', 'two'))
    const { id } = await owner.do('groups.create', { name: 'strict', members: [] })
    await owner.do('groups.ban', { id, uid: one.uid })
    await using tables = await openRawTables(engine())
    // People who are long gone: only their number counts.
    await tables.query(
      `insert into group_ban (log, account, banned_by, banned_at)
       with recursive more (n) as (select 1 union all select n + 1 from more where n < 9999)
       select group_ban.log, 1000000000 + more.n, banned_by, banned_at
       from group_ban join log on log.n = group_ban.log cross join more where log.name = '${id}'`,
    )
    expect(await owner.refused('groups.ban', { id, uid: two.uid })).toBe('too_many_bans')
    // Of who is banned, the ban may change; one that ends makes room.
    await owner.do('groups.ban', { id, uid: one.uid, reason: 'again' })
    await owner.do('groups.unban', { id, uid: one.uid })
    await owner.do('groups.ban', { id, uid: two.uid })
  })
}

function rooms(shared: Shared): void {
  test('a room is found, joined and left by anybody, without an entry, up to its bound', async () => {
    const store = shared()
    const [host, a, b, c] = allHandsOf(store, await createFriends(store, 'host', 'a', 'b', 'c'))
    const name = `Über ${host.uid}`
    const { id } = await host.do('rooms.create', { name, about: 'open' })
    const found = await a.do('rooms.list', { query: name.toUpperCase() })
    expect(found.items).toEqual([
      { id, name, about: 'open', members: 1, keepsEntries: true, createdAt: expect.any(Number) },
    ])
    await send(store, host, id as LogId, 'before')
    for (const guest of [a, a, b]) await guest.do('rooms.join', { id })
    expect(await c.refused('rooms.join', { id })).toBe('too_many_members')
    await send(store, a, id as LogId, 'hello')
    expect(gistOf(await readAll(store, a, id as LogId))).toEqual(['hello'])
    await b.do('rooms.leave', { id })
    await b.refused('rooms.leave', { id })
    await send(store, host, id as LogId, 'after')
    expect(gistOf(await readAll(store, b, id as LogId))).toEqual(['hello'])
    expect(await c.do('groups.join', { id })).toEqual({ id, state: 'joined' })
    await host.do('groups.ban', { id, uid: a.uid })
    expect(await a.refused('rooms.join', { id })).toBe('banned')
    expect(gistOf(await readAll(store, host, id as LogId))).toEqual([
      'created',
      'before',
      'hello',
      'after',
      'banned',
    ])
    expect(await c.refused('rooms.join', { id: await createGroup(store, host) })).toBe('unknown_group')
  })

  test('a room that keeps nothing stores no message', async () => {
    const store = shared()
    const [host] = allHandsOf(store, await createFriends(store, 'host'))
    const { id } = await host.do('rooms.create', { name: 'live', keepsEntries: false })
    expect(await refusalOf(send(store, host, id as LogId, 'x'))).toBe('transient_only')
  })
}
