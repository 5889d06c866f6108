import { describe, expect, test } from 'vitest'
import type { WochatError } from '../../../protocol/errors.ts'
import type { Caller, Store, StoredCall } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  addMembers as add,
  createFriends,
  createGroup,
  createPeople,
  createUid,
  gistOf,
  groupsOf,
  leaveGroup as leave,
  markRead,
  pageOf,
  readAll,
  refusalOf,
  removeMembers as remove,
  send,
  seqsOf,
} from './people.ts'

const membersPage = (
  store: Store,
  caller: Caller,
  id: string,
  page: { limit?: number; cursor?: string } = {},
) => store.run({ name: 'groups.members', caller, params: { id, ...page } })

/** Uid and role of all members, in the order of the pages. */
async function membersOf(store: Store, caller: Caller, id: string, limit = 500): Promise<[string, string][]> {
  const found: [string, string][] = []
  let cursor: string | undefined
  do {
    const page = await membersPage(store, caller, id, { limit, ...(cursor !== undefined && { cursor }) })
    found.push(...page.members.map(({ uid, role }): [string, string] => [uid, role]))
    cursor = page.cursor
  } while (cursor !== undefined)
  return found
}

export function groupsContract(engine: () => StoreEngine): void {
  describe('groups', () => {
    const shared = shareStore(engine)

    test('a new group has its owner and its members, and one entry that says so', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const id = await createGroup(store, alice, bob)
      expect(await membersOf(store, bob, id)).toEqual([
        [alice.uid, 'owner'],
        [bob.uid, 'member'],
      ])
      const [item] = await groupsOf(store, bob)
      expect(item).toMatchObject({ id, name: 'a group', owner: alice.uid, members: 2 })
      const [entry] = await readAll(store, bob, id)
      expect(entry).toMatchObject({
        kind: 'group',
        type: 'created',
        from: alice.uid,
        device: 'phone',
        body: { name: 'a group', owner: alice.uid, members: [alice.uid, bob.uid] },
      })
    })

    test('a group of one, naming oneself, and the same name twice are fine', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const one = await createGroup(store, alice)
      const two = await createGroup(store, alice, alice, bob, bob)
      expect((await groupsOf(store, alice)).map(({ id, members }) => [id, members])).toEqual([
        [one, 1],
        [two, 2],
      ])
    })

    test('nothing is made when some cannot be added, and the refusal names each with its reason', async () => {
      const store = shared()
      const [alice, bob, eve, fay] = await createPeople(store, 'alice', 'bob', 'eve', 'fay')
      const nobody = createUid('nobody')
      for (const other of [bob, fay]) {
        await store.run({ name: 'contacts.request', caller: alice, params: { uid: other.uid } })
        await store.run({ name: 'contacts.accept', caller: other, params: { uid: alice.uid } })
      }
      await store.run({ name: 'contacts.block', caller: fay, params: { uid: alice.uid } })
      const members = [bob.uid, eve.uid, nobody, fay.uid]
      const users = [
        { uid: eve.uid, code: 'not_friends' },
        { uid: nobody, code: 'unknown_user' },
        { uid: fay.uid, code: 'blocked' },
      ]
      const made = store.run({ name: 'groups.create', caller: alice, params: { name: 'x', members } })
      const refusal = await made.catch((error: WochatError) => error)
      expect(refusal).toMatchObject({ code: 'users_refused', details: { users } })
      const id = await createGroup(store, alice)
      const added = store.run({ name: 'groups.add', caller: alice, params: { id, members } })
      expect(await added.catch((error: WochatError) => error)).toMatchObject({ details: { users } })
      expect(await groupsOf(store, bob)).toEqual([])
      expect(gistOf(await readAll(store, alice, id))).toEqual(['created'])
    })

    test('any member adds; members are ignored; a call that adds nobody leaves no entry', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const id = await createGroup(store, alice, bob)
      expect(await add(store, bob, id, alice, carol)).toEqual({ added: [carol.uid] })
      expect(await add(store, bob, id, alice, carol)).toEqual({ added: [] })
      expect(gistOf(await readAll(store, alice, id))).toEqual(['created', 'added'])
      expect((await readAll(store, alice, id)).at(-1)?.body).toEqual({ members: [carol.uid] })
    })

    test('members remove nobody, and nobody removes themselves', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const id = await createGroup(store, alice, bob)
      expect(await refusalOf(remove(store, bob, id, alice))).toBe('not_admin')
      expect(await refusalOf(remove(store, alice, id, alice))).toBe('bad_request')
      expect(await remove(store, alice, id, carol)).toEqual({ removed: [] })
      expect(await remove(store, alice, id, bob, carol)).toEqual({ removed: [bob.uid] })
      expect(await refusalOf(send(store, bob, id, 'hello'))).toBe('not_member')
      expect(gistOf(await readAll(store, alice, id))).toEqual(['created', 'removed'])
    })

    test('a group is unknown to all who are not in it', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const id = await createGroup(store, alice, bob)
      await leave(store, bob, id)
      for (const caller of [bob, eve]) {
        expect(await refusalOf(add(store, caller, id, eve))).toBe('unknown_group')
        expect(await refusalOf(remove(store, caller, id, alice))).toBe('unknown_group')
        expect(await refusalOf(leave(store, caller, id))).toBe('unknown_group')
        expect(await refusalOf(membersPage(store, caller, id))).toBe('unknown_group')
      }
      expect(await refusalOf(pageOf(store, eve, id))).toBe('unknown_log')
      expect(await refusalOf(markRead(store, eve, id, 1))).toBe('unknown_log')
    })

    test('the one who joined first owns the group after its owner left, and the last one leaves it empty', async () => {
      const store = shared()
      const [alice, bob, carol, dave] = await createFriends(store, 'alice', 'bob', 'carol', 'dave')
      const id = await createGroup(store, alice, carol)
      await add(store, alice, id, bob)
      await add(store, alice, id, dave)
      await remove(store, alice, id, carol)
      await add(store, bob, id, carol)
      await leave(store, alice, id)
      expect(await membersOf(store, bob, id)).toEqual([
        [bob.uid, 'owner'],
        [dave.uid, 'member'],
        [carol.uid, 'member'],
      ])
      const entries = await readAll(store, dave, id)
      expect(entries.slice(-2)).toMatchObject([
        { type: 'owner', body: { uid: bob.uid } },
        { type: 'left', body: { uid: alice.uid } },
      ])
      expect(seqsOf(await readAll(store, alice, id)).at(-1)).toBe(entries.at(-1)?.seq)
      await remove(store, bob, id, dave)
      await leave(store, bob, id)
      await leave(store, carol, id)
      expect(await groupsOf(store, carol)).toEqual([])
      expect((await readAll(store, carol, id)).at(-1)).toMatchObject({
        type: 'left',
        body: { uid: carol.uid },
      })
    })

    test('members get the entries from the one that lets them in to the one that lets them out, each time', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const id = await createGroup(store, alice)
      await send(store, alice, id, 'before')
      await add(store, alice, id, bob)
      await send(store, alice, id, 'first time')
      await leave(store, bob, id)
      await send(store, alice, id, 'between')
      await add(store, alice, id, bob)
      await send(store, bob, id, 'second time')
      await remove(store, alice, id, bob)
      await send(store, alice, id, 'after')
      expect(gistOf(await readAll(store, bob, id))).toEqual([
        'added',
        'first time',
        'left',
        'added',
        'second time',
        'removed',
      ])
      expect(gistOf(await readAll(store, alice, id))).toHaveLength(10)
    })

    test('a block does not reach into a group that both are in', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const id = await createGroup(store, alice, bob)
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: alice.uid } })
      await send(store, alice, id, 'hello all')
      expect(gistOf(await readAll(store, bob, id))).toEqual(['created', 'hello all'])
    })

    test('a call that moderation changes or refuses is known again by what the caller gave', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const params = { name: 'a bad name', requestId: 'make' }
      type Screened = NonNullable<StoredCall<'groups.create'>['screened']>
      const make = (screened: Screened, name = params.name) =>
        store.run({ name: 'groups.create', caller: alice, params: { ...params, name }, screened })
      const refusal: Screened = {
        refusal: { code: 'content_refused', message: 'not here', details: { field: 'name' } },
      }
      await expect(make(refusal)).rejects.toMatchObject({
        ...{ code: 'content_refused', message: 'not here', details: { field: 'name' } },
      })
      expect(await groupsOf(store, alice)).toEqual([])
      const made = await make({ params: { ...params, name: 'a *** name' } })
      expect(await make({ params: { ...params, name: '* *** ****' } })).toEqual(made)
      expect(await make({ params })).toEqual(made)
      expect(await make(refusal)).toEqual(made)
      expect(await refusalOf(make({ params: { ...params, name: 'a *** name' } }, 'another'))).toBe(
        'id_conflict',
      )
      expect(await groupsOf(store, alice)).toMatchObject([{ id: made.id, name: 'a *** name' }])
    })

    test('a group made again under its requestId is the first one', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const create = (name: string) =>
        store.run({
          name: 'groups.create',
          caller: alice,
          params: { name, members: [bob.uid], requestId: 'make' },
        })
      const [first, second] = await Promise.all([create('x'), create('x')])
      expect(second).toEqual(first)
      expect(await refusalOf(create('y'))).toBe('id_conflict')
      expect(await groupsOf(store, bob)).toHaveLength(1)
    })
  })

  describe('groups of at most three', () => {
    const shared = shareStore(engine, { policy: { groupMembersMax: 3 } })

    test('are bounded, counting the owner and only those who would be new', async () => {
      const store = shared()
      const [alice, bob, carol, dave] = await createFriends(store, 'alice', 'bob', 'carol', 'dave')
      expect(await refusalOf(createGroup(store, alice, bob, carol, dave))).toBe('too_many_members')
      const id = await createGroup(store, alice, bob, carol)
      expect(await refusalOf(add(store, alice, id, bob, dave))).toBe('too_many_members')
      await leave(store, carol, id)
      expect(await add(store, alice, id, bob, dave)).toEqual({ added: [dave.uid] })
    })
  })

  describe('groups where strangers may be added', () => {
    const shared = shareStore(engine, { contactsRequired: false })

    test('strangers can be added where the policy lets them, unknown users cannot', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const id = await createGroup(store, alice, bob)
      expect(await refusalOf(add(store, alice, id, { uid: createUid('nobody') }))).toBe('users_refused')
    })

    test('a group of 1,200 is paged without missing or repeating anybody', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const others = (await createPeople(store, ...Array.from({ length: 1200 }, () => 'm'))) as Caller[]
      const id = await createGroup(store, alice, ...others.slice(0, 400))
      await add(store, alice, id, ...others.slice(400, 800))
      await add(store, alice, id, ...others.slice(800))
      await remove(store, alice, id, ...others.slice(100, 150))
      const members = (await membersOf(store, others[0]!, id, 97)).map(([uid]) => uid)
      expect(new Set(members).size).toBe(members.length)
      expect(members.toSorted()).toEqual(
        [alice, ...others.slice(0, 100), ...others.slice(150)].map(({ uid }) => uid as string).toSorted(),
      )
      expect((await groupsOf(store, alice))[0]?.members).toBe(1151)
      expect(await refusalOf(membersPage(store, alice, id, { cursor: 'nonsense' }))).toBe('bad_request')
    })
  })
}
