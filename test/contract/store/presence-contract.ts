import { describe, expect, test } from 'vitest'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { createFriends, createGroup, createPeople, directLog, refusalOf } from './people.ts'

const look = async (store: Store, reader: Caller, ...people: { uid: UserId }[]) => {
  const uids = people.map(({ uid }) => uid)
  return store.perform({ task: 'lookAt', input: { reader: reader.uid, uids } })
}

const isVisible = async (store: Store, reader: Caller, person: Caller): Promise<boolean> =>
  (await look(store, reader, person))[0]!.isVisible

const rightsOf = (store: Store, { uid }: Caller, log: LogId) =>
  store.perform({ task: 'findLiveRights', input: { uid, log } })

const set = (store: Store, caller: Caller, lastSeenTo: 'everybody' | 'friends' | 'nobody') =>
  store.run({ name: 'settings.set', caller, params: { lastSeenTo } })

export function presenceContract(engine: () => StoreEngine): void {
  describe('presence', () => {
    const shared = shareStore(engine)

    test('friends see each other, strangers, the blocked and the hidden are not seen, and oneself always is', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const [eve] = await createPeople(store, 'eve')
      expect([await isVisible(store, alice, bob), await isVisible(store, eve, bob)]).toEqual([true, false])
      await set(store, bob, 'everybody')
      expect(await isVisible(store, eve, bob)).toBe(true)
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: eve.uid } })
      expect(await isVisible(store, eve, bob)).toBe(false)
      await set(store, bob, 'nobody')
      expect([await isVisible(store, alice, bob), await isVisible(store, bob, bob)]).toEqual([false, true])
      expect(await look(store, alice, { uid: 'nobody.at.all' as UserId })).toEqual([])
      expect((await look(store, alice, bob))[0]).toMatchObject({ lastSeen: null })
    })

    test('a device that was connected is the last time its person was seen; it never goes back', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const open = (caller: Caller) =>
        store.openSession({
          clientId: `${caller.uid}/phone` as never,
          uid: caller.uid,
          device: 'phone' as never,
          sid: null,
          issuedAt: Date.now(),
          cleanStart: true,
          persistent: false,
          devicesMax: 5,
        })
      await open(bob)
      const seen = async () => (await look(store, alice, bob))[0]!.lastSeen!
      const connectedAt = await seen()
      const note = (at: number) =>
        store.perform({
          task: 'noteDevicesSeen',
          input: { devices: [{ uid: bob.uid, device: bob.device!, at }] },
        })
      await note(connectedAt - 5000)
      expect(await seen()).toBe(connectedAt)
      // No later than now by the store's clock.
      await note(connectedAt + 3_600_000)
      expect(await seen()).toBeGreaterThanOrEqual(connectedAt)
      expect(await seen()).toBeLessThan(connectedAt + 600_000)
      await store.revokeDevice({ uid: bob.uid, device: bob.device! })
      const revoked = await seen()
      await note(Date.now() + 1000)
      expect(await seen()).toBe(revoked)
    })

    test('members page through the members of their group, and others are refused', async () => {
      const store = shared()
      const [owner, near] = await createFriends(store, 'owner', 'near')
      const [eve] = await createPeople(store, 'eve')
      const group = await createGroup(store, owner, near)
      const page = (reader: Caller, after = { joined: 0, n: 0 }) =>
        store.perform({ task: 'pageMembersSeen', input: { reader, group, after } })
      const { people, next } = await page(owner)
      expect(people.map(({ uid, isVisible }) => [uid, isVisible]).sort()).toEqual(
        [
          [owner.uid, true],
          [near.uid, true],
        ].sort(),
      )
      expect(next).toBeNull()
      expect((await page(owner, { joined: Number.MAX_SAFE_INTEGER, n: 0 })).people).toEqual([])
      expect(await refusalOf(page(eve))).toBe('unknown_group')
    })

    test('who may write may be told to be typing; nobody else', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const [eve] = await createPeople(store, 'eve')
      const group = await createGroup(store, alice, bob)
      expect(await rightsOf(store, alice, directLog(alice, bob))).toEqual({
        mayWrite: true,
        members: 2,
        tellsRead: true,
      })
      expect(await rightsOf(store, eve, directLog(eve, bob))).toMatchObject({ mayWrite: false })
      expect(await rightsOf(store, bob, group)).toMatchObject({ mayWrite: true, members: 2 })
      expect(await rightsOf(store, eve, group)).toMatchObject({ mayWrite: false })
      const untilMs = Date.now() + 3_600_000
      await store.run({ name: 'groups.mute', caller: alice, params: { id: group, uid: bob.uid, untilMs } })
      expect(await rightsOf(store, bob, group)).toMatchObject({ mayWrite: false })
      expect(await rightsOf(store, alice, group)).toMatchObject({ mayWrite: true })
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: alice.uid } })
      expect(await rightsOf(store, alice, directLog(alice, bob))).toMatchObject({ mayWrite: false })
      await store.run({ name: 'settings.set', caller: bob, params: { sendReadReceipts: false } })
      expect(await rightsOf(store, bob, directLog(alice, bob))).toMatchObject({ tellsRead: false })
    })

    test('a room that keeps nothing takes what is not kept of all who are not banned', async () => {
      const store = shared()
      const [owner, fan] = await createPeople(store, 'owner', 'fan')
      const params = { name: 'stage', keepsEntries: false }
      const { id } = await store.run({ name: 'rooms.create', caller: owner, params })
      const find = (room: string) => store.perform({ task: 'findLiveRoom', input: { uid: fan.uid, room } })
      expect(await find(id)).toEqual({ isBanned: false })
      const kept = await store.run({ name: 'rooms.create', caller: owner, params: { name: 'kept' } })
      expect([await find(kept.id), await find('g:nowhere')]).toEqual([null, null])
      const say = (marks: { transient: true } | null) =>
        new Promise<string>((resolve) => {
          store.send({
            ...fan,
            id: null,
            log: id as LogId,
            peer: null,
            type: 'text',
            bodyJson: '{"text":"Hello!"}',
            marks,
            accepted: (seq) => resolve(seq <= 0 ? 'not kept' : 'kept'),
            refused: ({ code }) => resolve(code),
          })
        })
      expect([await say({ transient: true }), await say(null)]).toEqual(['not kept', 'transient_only'])
      await store.run({ name: 'groups.ban', caller: owner, params: { id, uid: fan.uid } })
      expect(await find(id)).toEqual({ isBanned: true })
      expect(await say({ transient: true })).toBe('not_member')
    })
  })
}
