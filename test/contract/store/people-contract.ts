import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OperationName, Params, Result } from '../../../protocol/catalogue/catalogue.ts'
import type { DeviceId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { StoredName } from '../../../services/store/operations/operations.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { befriend, createPeople, createUid, noticesOf, refusalOf } from './people.ts'

const call = <Name extends StoredName>(
  store: Store,
  caller: Caller,
  name: Name,
  params: Params<Name & OperationName>,
) => store.run({ name, caller, params })

type Listed = Result<'contacts.list'>['items'][number]
type Changed = Result<'contacts.changes'>['items'][number]

const listOf = async (store: Store, person: Caller): Promise<Listed[]> =>
  (await call(store, person, 'contacts.list', {})).items

/** Another device of a person that keeps its own copy of the list, by nothing but what changed. */
class Copy {
  readonly #items = new Map<string, Changed>()
  #version = 0

  async sync(store: Store, person: Caller, limit = 500): Promise<void> {
    for (let more = true; more; ) {
      const page = await call(store, person, 'contacts.changes', { since: this.#version, limit })
      for (const item of page.items) {
        if (item.removed === true) this.#items.delete(item.uid)
        else this.#items.set(item.uid, item)
      }
      this.#version = page.version
      more = page.more
    }
  }

  get items(): Changed[] {
    return [...this.#items.values()].sort((a, b) => (a.uid < b.uid ? -1 : 1))
  }
}

export function peopleContract(engine: () => StoreEngine): void {
  describe('people', () => {
    const shared = shareStore(engine)

    describe('the list of contacts', () => {
      test('comes in pages that together are the whole', async () => {
        const store = shared()
        const [hub, ...others] = await createPeople(store, 'hub', 'a', 'b', 'c', 'd', 'e')
        for (const other of others) await befriend(store, hub, other)
        const pages: string[][] = []
        let cursor: string | undefined
        do {
          const page = await call(store, hub, 'contacts.list', {
            limit: 2,
            ...(cursor !== undefined && { cursor }),
          })
          pages.push(page.items.map(({ uid }) => uid))
          cursor = page.cursor
        } while (cursor !== undefined)
        expect(pages.map(({ length }) => length)).toEqual([2, 2, 1])
        expect(pages.flat()).toEqual((await listOf(store, hub)).map(({ uid }) => uid))
      })

      test('has a name and tags of my own, which end with the friendship and which nobody else sees', async () => {
        const store = shared()
        const [alice, bob, eve] = await createPeople(store, 'alice', 'bob', 'eve')
        await befriend(store, alice, bob)
        await call(store, alice, 'contacts.update', {
          uid: bob.uid,
          remark: 'Bobby',
          tags: ['work', 'chess'],
        })
        expect(await listOf(store, alice)).toMatchObject([
          { uid: bob.uid, remark: 'Bobby', tags: ['work', 'chess'] },
        ])
        expect((await listOf(store, bob))[0]).not.toHaveProperty('remark')
        await call(store, alice, 'contacts.update', { uid: bob.uid, tags: null })
        const [item] = await listOf(store, alice)
        expect(item).toMatchObject({ remark: 'Bobby' })
        expect(item).not.toHaveProperty('tags')
        expect(await refusalOf(call(store, alice, 'contacts.update', { uid: eve.uid, remark: 'x' }))).toBe(
          'not_a_contact',
        )
        await call(store, alice, 'contacts.remove', { uid: bob.uid })
        await befriend(store, alice, bob)
        expect((await listOf(store, alice))[0]).not.toHaveProperty('remark')
      })

      test('is the same on two devices that work offline by turns, whatever was done and in whatever pages', async () => {
        const store = shared()
        const [alice, ...others] = await createPeople(store, 'alice', 'a', 'b', 'c', 'd', 'e', 'f')
        const phone = new Copy()
        const tablet = new Copy()
        const steps: ((other: Caller) => Promise<unknown>)[] = [
          (other) => call(store, alice, 'contacts.request', { uid: other.uid }),
          (other) => call(store, other, 'contacts.request', { uid: alice.uid, text: 'hello' }),
          (other) => call(store, other, 'contacts.accept', { uid: alice.uid }),
          (other) => call(store, alice, 'contacts.accept', { uid: other.uid }),
          (other) => call(store, alice, 'contacts.remove', { uid: other.uid }),
          (other) =>
            call(store, alice, 'contacts.update', { uid: other.uid, remark: String(randomInt(1000)) }),
          (other) => call(store, alice, 'contacts.block', { uid: other.uid, mode: 'swallow' }),
          (other) => call(store, alice, 'contacts.unblock', { uid: other.uid }),
          (other) => call(store, other, 'profile.set', { name: String(randomInt(1000)) }),
        ]
        for (let i = 0; i < 120; i++) {
          const step = steps[randomInt(steps.length)]!
          // What does not fit the state of the two is refused, and must leave no trace.
          await step(others[randomInt(others.length)]!).catch(() => {})
          if (i % 7 === 0) await phone.sync(store, alice, 2)
          if (i % 31 === 0) await tablet.sync(store, alice)
        }
        await phone.sync(store, alice, 1)
        await tablet.sync(store, alice)
        expect(phone.items).toEqual(tablet.items)
        expect(phone.items).toEqual(await listOf(store, alice))
      })
    })

    describe('who may ask', () => {
      test('is everybody, friends of friends or nobody, as the asked person sets', async () => {
        const store = shared()
        const [alice, bob, carol, eve] = await createPeople(store, 'alice', 'bob', 'carol', 'eve')
        await befriend(store, alice, bob)
        await befriend(store, bob, carol)
        const ask = (caller: Caller) => call(store, caller, 'contacts.request', { uid: alice.uid })
        await call(store, alice, 'settings.set', { whoMayAdd: 'friendsOfFriends' })
        expect(await refusalOf(ask(eve))).toBe('requests_closed')
        expect(await ask(carol)).toEqual({ state: 'requested' })
        await call(store, alice, 'settings.set', { whoMayAdd: 'nobody' })
        expect(await refusalOf(ask(eve))).toBe('requests_closed')
        // Whom alice asks herself may answer.
        await call(store, alice, 'contacts.request', { uid: eve.uid })
        expect(await ask(eve)).toEqual({ state: 'friend' })
      })

      test('is not who is blocked; swallowed they do not learn of it, and nothing arrives', async () => {
        const store = shared()
        const [alice, eve] = await createPeople(store, 'alice', 'eve')
        await call(store, alice, 'contacts.block', { uid: eve.uid, mode: 'swallow' })
        expect(await call(store, eve, 'contacts.request', { uid: alice.uid, text: 'psst' })).toEqual({
          state: 'requested',
        })
        expect(await listOf(store, alice)).toMatchObject([
          { uid: eve.uid, state: 'none', blocked: true, blockMode: 'swallow' },
        ])
        expect((await noticesOf(store, alice)).map(({ type }) => type)).toEqual(['blocked'])
        await call(store, alice, 'contacts.unblock', { uid: eve.uid })
        await call(store, eve, 'contacts.request', { uid: alice.uid })
        expect(await listOf(store, alice)).toMatchObject([{ uid: eve.uid, state: 'asked' }])
      })
    })

    describe('a search for a person', () => {
      test('finds by uid and by phone as that person lets it, and never tells the phone', async () => {
        const store = shared()
        const [eve] = await createPeople(store, 'eve')
        const { caller: alice, phone } = await logIn(store)
        const find = async (query: string) => (await call(store, eve, 'accounts.search', { query })).items
        await call(store, alice, 'profile.set', { name: 'Alice' })
        const found = await find(phone)
        expect(found).toEqual([
          { uid: alice.uid, name: 'Alice', attributes: {}, kind: 'person', state: 'active' },
        ])
        expect(await find(alice.uid)).toEqual(found)
        await call(store, alice, 'settings.set', { findByPhone: false })
        expect([(await find(phone)).length, (await find(alice.uid)).length]).toEqual([0, 1])
        await call(store, alice, 'settings.set', { findByUid: false })
        expect(await call(store, eve, 'accounts.search', { query: alice.uid })).toEqual(
          await call(store, eve, 'accounts.search', { query: createUid('nobody') }),
        )
        await call(store, alice, 'settings.set', { findByUid: null })
        await call(store, alice, 'contacts.block', { uid: eve.uid })
        expect(await find(alice.uid)).toEqual([])
      })
    })
  })
}

/** A person who has an account by phone. */
export async function logIn(
  store: Store,
  phone = `+49${randomInt(10 ** 12)}`,
  uid = createUid('alice'),
  sid = createUid('sid'),
): Promise<{ caller: Caller; phone: string; sid: string }> {
  const device = 'phone' as DeviceId
  await store.recordCode({
    phone,
    codeHash: 'code',
    expiresAt: Date.now() + 60_000,
    address: createUid('address'),
    perPhoneMax: 100,
    perAddressMax: 100,
    windowMs: 60_000,
  })
  const login = await store.login({
    phone,
    codeHash: 'code',
    triesMax: 5,
    uid: null,
    newUid: uid,
    device: { id: device, kind: '', name: '' },
    devicesMax: 10,
    sid,
    refreshHash: 'refresh',
    refreshExpiresAt: Date.now() + 60_000,
  })
  if (!('uid' in login)) throw new Error('the code was refused')
  return { caller: { uid: login.uid, device }, phone, sid }
}
