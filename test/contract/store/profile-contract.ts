import { describe, expect, test } from 'vitest'
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { StoredName } from '../../../services/store/operations/operations.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { befriend, createFriends, createPeople, createUid, noticesOf, refusalOf } from './people.ts'

const call = <Name extends StoredName>(
  store: Store,
  caller: Caller,
  name: Name,
  params: Params<Name & OperationName>,
) => store.run({ name, caller, params })

export function profileContract(engine: () => StoreEngine): void {
  describe('what people say and set', () => {
    const shared = shareStore(engine)

    describe('profiles', () => {
      test('are set in parts, seen by others, and null removes', async () => {
        const store = shared()
        const [alice, bob] = await createPeople(store, 'alice', 'bob')
        await call(store, alice, 'profile.set', {
          name: 'Alice',
          attributes: { city: 'Kyoto', mood: 'fine' },
        })
        await call(store, alice, 'profile.set', { avatar: 'm-1', attributes: { mood: null } })
        const seen = await call(store, bob, 'profile.get', {
          uids: [alice.uid, createUid('nobody'), bob.uid],
        })
        expect(seen.items).toEqual([
          {
            uid: alice.uid,
            name: 'Alice',
            avatar: 'm-1',
            attributes: { city: 'Kyoto' },
            kind: 'person',
            state: 'active',
          },
          { uid: bob.uid, attributes: {}, kind: 'person', state: 'active' },
        ])
        const cleared = await call(store, alice, 'profile.set', {
          name: null,
          avatar: null,
          attributes: null,
        })
        expect(cleared).toEqual({ uid: alice.uid, attributes: {}, kind: 'person', state: 'active' })
        expect((await call(store, alice, 'profile.get', {})).items).toEqual([cleared])
      })

      test('hold 32 attributes and 4 KB of them, counted after the merge; a refusal changes nothing', async () => {
        const store = shared()
        const [alice] = await createPeople(store, 'alice')
        const many = (from: number, count: number) =>
          Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${from + i}`, 'v']))
        const before = await call(store, alice, 'profile.set', { attributes: many(0, 32) })
        for (const attributes of [many(32, 1), { k0: 'x'.repeat(4096) }]) {
          expect(await refusalOf(call(store, alice, 'profile.set', { name: 'no', attributes }))).toBe(
            'bad_request',
          )
        }
        expect((await call(store, alice, 'profile.get', {})).items).toEqual([before])
      })

      test('reach friends by contacts.changes, and the own devices by a notice', async () => {
        const store = shared()
        const [alice, bob] = await createFriends(store, 'alice', 'bob')
        const { version } = await call(store, bob, 'contacts.list', {})
        await call(store, alice, 'profile.set', { name: 'Alice' })
        const changes = await call(store, bob, 'contacts.changes', { since: version })
        expect(changes.items).toMatchObject([{ uid: alice.uid, state: 'friend', profile: { name: 'Alice' } }])
        expect(await call(store, bob, 'contacts.changes', { since: changes.version })).toEqual({
          items: [],
          version: changes.version,
          more: false,
        })
        expect((await noticesOf(store, alice)).at(-1)).toEqual({ type: 'profile', body: {} })
      })

      test('of who is not to be found by uid are shown to whoever has to do with them alone', async () => {
        const store = shared()
        const [alice, bob, eve] = await createPeople(store, 'alice', 'bob', 'eve')
        await call(store, alice, 'settings.set', { findByUid: false })
        await befriend(store, alice, bob)
        const seenBy = async (caller: Caller) =>
          (await call(store, caller, 'profile.get', { uids: [alice.uid] })).items.length
        expect([await seenBy(alice), await seenBy(bob), await seenBy(eve)]).toEqual([1, 1, 0])
      })
    })

    describe('settings', () => {
      const defaults = {
        findByUid: true,
        findByPhone: true,
        whoMayAdd: 'everybody',
        lastSeenTo: 'friends',
        sendReadReceipts: true,
        doNotDisturb: null,
        language: null,
      }

      test('stand as by default until they are set, and null puts the default back', async () => {
        const store = shared()
        const [alice] = await createPeople(store, 'alice')
        expect(await call(store, alice, 'settings.get', {})).toEqual(defaults)
        const doNotDisturb = { from: 1320, to: 420, timezone: 'Asia/Shanghai' }
        const set = await call(store, alice, 'settings.set', {
          doNotDisturb,
          language: 'ZH-hans-cn',
          findByUid: false,
        })
        expect(set).toEqual({ ...defaults, doNotDisturb, language: 'zh-Hans-CN', findByUid: false })
        await call(store, alice, 'settings.set', { doNotDisturb: null, findByUid: null })
        expect(await call(store, alice, 'settings.get', {})).toEqual({ ...defaults, language: 'zh-Hans-CN' })
      })

      test('where strangers write to each other, they also see when somebody was there, as presence says it', async () => {
        await using store = await engine().open({ contactsRequired: false })
        const [alice, eve] = await createPeople(store, 'alice', 'eve')
        expect(await call(store, alice, 'settings.get', {})).toEqual({ ...defaults, lastSeenTo: 'everybody' })
        const look = () => store.perform({ task: 'lookAt', input: { reader: eve.uid, uids: [alice.uid] } })
        expect(await look()).toMatchObject([{ isVisible: true }])
        await call(store, alice, 'settings.set', { lastSeenTo: 'friends' })
        expect(await look()).toMatchObject([{ isVisible: false }])
      })

      test('refuse a zone and a language that do not exist, and change nothing then', async () => {
        const store = shared()
        const [alice] = await createPeople(store, 'alice')
        const doNotDisturb = { from: 0, to: 1, timezone: 'Mars/Olympus' }
        const refused: Params<'settings.set'>[] = [{ doNotDisturb }, { language: 'not a tag' }]
        for (const params of refused) {
          expect(await refusalOf(call(store, alice, 'settings.set', { findByUid: false, ...params }))).toBe(
            'bad_request',
          )
        }
        expect(await call(store, alice, 'settings.get', {})).toEqual(defaults)
      })

      test('sync by version: what changed once is told once, with its value now', async () => {
        const store = shared()
        const [alice] = await createPeople(store, 'alice')
        await call(store, alice, 'settings.set', { findByUid: false, language: 'de' })
        await call(store, alice, 'settings.set', { language: 'fr' })
        const first = await call(store, alice, 'settings.changes', { since: 0 })
        expect(first.items).toEqual([
          { name: 'findByUid', value: false },
          { name: 'language', value: 'fr' },
        ])
        await call(store, alice, 'settings.set', { findByUid: null })
        const second = await call(store, alice, 'settings.changes', { since: first.version })
        expect(second.items).toEqual([{ name: 'findByUid', value: true }])
      })
    })
  })
}
