import { describe, expect, test } from 'vitest'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { DEFAULT_POLICY } from '../../../services/store/policy.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { createFriends, createPeople, createUid, directLog, noticesOf, refusalOf, send } from './people.ts'

const request = (store: Store, caller: Caller, to: Caller, text?: string) =>
  store.run({
    name: 'contacts.request',
    caller,
    params: { uid: to.uid, ...(text !== undefined && { text }) },
  })
const accept = (store: Store, caller: Caller, of: Caller) =>
  store.run({ name: 'contacts.accept', caller, params: { uid: of.uid } })
const block = (store: Store, caller: Caller, whom: Caller) =>
  store.run({ name: 'contacts.block', caller, params: { uid: whom.uid } })

/** `state` and a mark for a block, of one person's list. */
async function stateOf(store: Store, person: Caller, other: Caller): Promise<string | undefined> {
  const item = (await store.run({ name: 'contacts.list', caller: person, params: {} })).items.find(
    ({ uid }) => uid === other.uid,
  )
  return item === undefined ? undefined : `${item.state}${item.blocked ? ', blocked' : ''}`
}

const typesOf = async (store: Store, person: Caller): Promise<string[]> =>
  (await noticesOf(store, person)).map(({ type }) => type)

export function contactsContract(engine: () => StoreEngine): void {
  describe('contacts', () => {
    const shared = shareStore(engine)

    test('a request is seen from both sides, with its text, and accepting makes friends', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      expect(await request(store, alice, bob, 'it is me')).toEqual({ state: 'requested' })
      expect(await stateOf(store, alice, bob)).toBe('requested')
      expect((await store.run({ name: 'contacts.list', caller: bob, params: {} })).items).toMatchObject([
        { uid: alice.uid, state: 'asked', blocked: false, text: 'it is me' },
      ])
      await accept(store, bob, alice)
      expect(await stateOf(store, alice, bob)).toBe('friend')
      expect(
        (await store.run({ name: 'contacts.list', caller: bob, params: {} })).items[0],
      ).not.toHaveProperty('text')
      expect(await noticesOf(store, alice)).toEqual([
        { type: 'requested', body: { uid: bob.uid, text: 'it is me' } },
        { type: 'friend', body: { uid: bob.uid } },
      ])
      expect(await noticesOf(store, bob)).toEqual([
        { type: 'asked', body: { uid: alice.uid, text: 'it is me' } },
        { type: 'friend', body: { uid: alice.uid } },
      ])
    })

    test('two who ask each other are friends at once', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const states = await Promise.all([request(store, alice, bob), request(store, bob, alice)])
      // Whose came first, the store alone decides.
      expect(states.map(({ state }) => state).sort()).toEqual(['friend', 'requested'])
      await send(store, alice, directLog(alice, bob), 'hello')
    })

    test('a request to a friend and a repeated request change nothing and tell nobody', async () => {
      const store = shared()
      const [alice, bob, carol] = await createPeople(store, 'alice', 'bob', 'carol')
      await request(store, alice, bob)
      await request(store, alice, bob)
      await accept(store, bob, alice)
      expect(await request(store, alice, bob)).toEqual({ state: 'friend' })
      expect(await typesOf(store, bob)).toEqual(['asked', 'friend'])
      expect((await store.run({ name: 'contacts.list', caller: carol, params: {} })).items).toEqual([])
    })

    test('oneself and nobody cannot be asked or blocked', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const nobody = { uid: createUid('nobody'), device: null }
      expect(await refusalOf(request(store, alice, alice))).toBe('bad_request')
      expect(await refusalOf(block(store, alice, alice))).toBe('bad_request')
      expect(await refusalOf(request(store, alice, nobody))).toBe('unknown_user')
      expect(await refusalOf(block(store, alice, nobody))).toBe('unknown_user')
    })

    test('accepting and refusing need an open request', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const refuse = () => store.run({ name: 'contacts.refuse', caller: bob, params: { uid: alice.uid } })
      expect(await refusalOf(accept(store, bob, alice))).toBe('no_request')
      expect(await refusalOf(refuse())).toBe('no_request')
      await request(store, alice, bob)
      expect(await refusalOf(accept(store, alice, bob))).toBe('no_request')
      await refuse()
      expect(await refusalOf(refuse())).toBe('no_request')
      expect(await refusalOf(accept(store, bob, alice))).toBe('no_request')
    })

    test('who is refused is not told, and cannot ask again until the cool-down is over', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      await request(store, alice, bob)
      await store.run({ name: 'contacts.refuse', caller: bob, params: { uid: alice.uid } })
      expect(await typesOf(store, alice)).toEqual(['requested'])
      expect(await typesOf(store, bob)).toEqual(['asked', 'refused'])
      await expect(request(store, alice, bob)).rejects.toMatchObject({
        code: 'request_refused',
        retryAfterMs: expect.closeTo(DEFAULT_POLICY.requestCooldownMs, -5),
      })
      expect([await stateOf(store, alice, bob), await stateOf(store, bob, alice)]).toEqual([
        undefined,
        undefined,
      ])
      // The one who refused may change their mind.
      await request(store, bob, alice)
      await accept(store, alice, bob)
      expect(await stateOf(store, bob, alice)).toBe('friend')
    })

    test('removing ends a friendship on both sides, tells both, and does nothing when done twice', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      await send(store, alice, directLog(alice, bob), 'hello')
      for (let i = 0; i < 2; i++)
        await store.run({ name: 'contacts.remove', caller: alice, params: { uid: bob.uid } })
      expect([await stateOf(store, alice, bob), await stateOf(store, bob, alice)]).toEqual([
        undefined,
        undefined,
      ])
      expect(await typesOf(store, alice)).toEqual(['requested', 'friend', 'removed'])
      expect(await typesOf(store, bob)).toEqual(['asked', 'friend', 'removed'])
      for (const from of [alice, bob]) {
        expect(await refusalOf(send(store, from, directLog(alice, bob), 'more'))).toBe('not_friends')
      }
    })

    test('removing withdraws an own request and leaves one of the other alone', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      await request(store, alice, bob)
      await store.run({ name: 'contacts.remove', caller: bob, params: { uid: alice.uid } })
      expect(await stateOf(store, bob, alice)).toBe('asked')
      await store.run({ name: 'contacts.remove', caller: alice, params: { uid: bob.uid } })
      expect(await stateOf(store, bob, alice)).toBeUndefined()
      expect(await refusalOf(accept(store, bob, alice))).toBe('no_request')
    })

    test('a block is one-sided, keeps the friendship, refuses requests and is told to nobody else', async () => {
      const store = shared()
      const [alice, bob, eve] = await createPeople(store, 'alice', 'bob', 'eve')
      await request(store, alice, bob)
      await accept(store, bob, alice)
      for (let i = 0; i < 2; i++) await block(store, bob, alice)
      await block(store, bob, eve)
      expect(await stateOf(store, bob, alice)).toBe('friend, blocked')
      expect(await stateOf(store, bob, eve)).toBe('none, blocked')
      expect(await stateOf(store, alice, bob)).toBe('friend')
      expect(await refusalOf(request(store, eve, bob))).toBe('blocked')
      expect(await noticesOf(store, eve)).toEqual([])
      for (let i = 0; i < 2; i++)
        await store.run({ name: 'contacts.unblock', caller: bob, params: { uid: alice.uid } })
      await store.run({ name: 'contacts.unblock', caller: bob, params: { uid: eve.uid } })
      expect(await stateOf(store, bob, eve)).toBeUndefined()
      await send(store, alice, directLog(alice, bob), 'friends again')
      expect(await typesOf(store, bob)).toEqual([
        'asked',
        'friend',
        'blocked',
        'blocked',
        'unblocked',
        'unblocked',
      ])
      expect(await typesOf(store, alice)).toEqual(['requested', 'friend'])
    })

    test('a block outlives the end of the friendship', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      await block(store, bob, alice)
      await store.run({ name: 'contacts.remove', caller: alice, params: { uid: bob.uid } })
      expect(await stateOf(store, bob, alice)).toBe('none, blocked')
      expect(await refusalOf(request(store, alice, bob))).toBe('blocked')
    })

    test('a call repeated under its requestId takes effect once and has its first result', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const params = { uid: bob.uid, requestId: 'r1' }
      const ask = (text?: string) =>
        store.run({
          name: 'contacts.request',
          caller: alice,
          params: { ...params, ...(text !== undefined && { text }) },
        })
      expect(await ask()).toEqual({ state: 'requested' })
      await accept(store, bob, alice)
      expect(await ask()).toEqual({ state: 'requested' })
      expect(await refusalOf(ask('other'))).toBe('id_conflict')
      expect(await refusalOf(store.run({ name: 'contacts.remove', caller: alice, params }))).toBe(
        'id_conflict',
      )
      expect(await stateOf(store, alice, bob)).toBe('friend')
    })
  })
  describe('a list of at most two contacts', () => {
    const shared = shareStore(engine, { policy: { contactsMax: 2 } })

    test('contacts and open requests are bounded on both sides, known ones are not', async () => {
      const store = shared()
      const [alice, bob, carol, dave] = await createPeople(store, 'alice', 'bob', 'carol', 'dave')
      const ask = (caller: Caller, to: Caller) =>
        store.run({ name: 'contacts.request', caller, params: { uid: to.uid } })
      await ask(alice, bob)
      await ask(alice, carol)
      expect(await refusalOf(ask(alice, dave))).toBe('too_many_contacts')
      expect(await refusalOf(ask(dave, alice))).toBe('too_many_contacts')
      expect(
        await refusalOf(store.run({ name: 'contacts.block', caller: alice, params: { uid: dave.uid } })),
      ).toBe('too_many_contacts')
      await store.run({ name: 'contacts.block', caller: alice, params: { uid: bob.uid } })
      await store.run({ name: 'contacts.accept', caller: carol, params: { uid: alice.uid } })
      await store.run({ name: 'contacts.remove', caller: alice, params: { uid: carol.uid } })
      expect(await ask(dave, alice)).toEqual({ state: 'requested' })
    })
  })
}
