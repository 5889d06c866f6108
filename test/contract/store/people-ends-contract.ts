import { describe, expect, test } from 'vitest'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  befriend,
  createFriends,
  createGroup,
  createPeople,
  directLog,
  gistOf,
  noticesOf,
  readAll,
  refusalOf,
  send,
} from './people.ts'
import { logIn } from './people-contract.ts'

/** Tokens say their time in whole seconds. */
const thisSecond = () => Math.floor(Date.now() / 1000) * 1000

const check = (store: Store, { uid, device }: Caller, sid: string | null, issuedAt = thisSecond()) =>
  store.checkLogin({ uid, device, sid, issuedAt })

const stateSeenBy = async (store: Store, caller: Caller, whom: Caller) =>
  (await store.run({ name: 'profile.get', caller, params: { uids: [whom.uid] } })).items[0]

const deactivate = (store: Store, caller: Caller) =>
  store.run({ name: 'accounts.deactivate', caller, params: {} })

async function erase(store: Store, caller: Caller): Promise<void> {
  await store.run({ name: 'accounts.erase', caller, params: { confirm: caller.uid } })
  while ((await store.perform({ task: 'eraseStep', input: {} })).more) {
    // As many steps as there are.
  }
}

/** Later than a token that was issued in the second of the call before. */
const NEXT_SECOND_MS = 2000

export function peopleEndsContract(engine: () => StoreEngine): void {
  describe('a resting account', () => {
    const shared = shareStore(engine, { contactsRequired: false })

    test('has no login any more, takes no messages and requests, and friends hear of it', async () => {
      const store = shared()
      const { caller: alice, sid } = await logIn(store)
      const [bob, eve] = await createPeople(store, 'bob', 'eve')
      await befriend(store, alice, bob)
      await send(store, bob, directLog(alice, bob), 'before')
      const { version } = await store.run({ name: 'contacts.list', caller: bob, params: {} })
      const issuedAt = thisSecond()
      await deactivate(store, alice)
      expect(await refusalOf(check(store, alice, sid, issuedAt))).toBe('revoked')
      expect(await refusalOf(check(store, alice, null, issuedAt))).toBe('revoked')
      expect(await refusalOf(check(store, { ...alice, device: null }, null, issuedAt))).toBe('revoked')
      const refreshed = store.refresh({
        sid,
        refreshHash: 'refresh',
        nextHash: 'n',
        nextExpiresAt: Date.now() + 1000,
      })
      expect(await refusalOf(refreshed)).toBe('bad_refresh')
      for (const from of [bob, eve]) {
        expect(await refusalOf(send(store, from, directLog(alice, from), 'after'))).toBe('account_inactive')
      }
      const request = store.run({ name: 'contacts.request', caller: eve, params: { uid: alice.uid } })
      expect(await refusalOf(request)).toBe('account_inactive')
      const changes = await store.run({ name: 'contacts.changes', caller: bob, params: { since: version } })
      expect(changes.items).toMatchObject([
        { uid: alice.uid, state: 'friend', profile: { state: 'deactivated' } },
      ])
      const found = await store.run({ name: 'accounts.search', caller: eve, params: { query: alice.uid } })
      expect(found.items).toEqual([])
    })

    test('is taken up again by the next login of its phone, with everything it had', async () => {
      const store = shared()
      const { caller: alice, phone } = await logIn(store)
      const [bob] = await createPeople(store, 'bob')
      await befriend(store, alice, bob)
      await deactivate(store, alice)
      const again = await logIn(store, phone)
      expect(again.caller).toEqual(alice)
      await check(store, alice, again.sid)
      expect(await stateSeenBy(store, bob, alice)).toMatchObject({ state: 'active' })
      await send(store, bob, directLog(alice, bob), 'welcome back')
    })

    test('of another issuer is taken up again by a later token, not by an old one', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const issuedAt = thisSecond()
      await deactivate(store, alice)
      expect(await refusalOf(check(store, { ...alice, device: null }, null, issuedAt))).toBe('revoked')
      expect(await stateSeenBy(store, bob, alice)).toMatchObject({ state: 'deactivated' })
      await check(store, alice, null, Date.now() + NEXT_SECOND_MS)
      expect(await stateSeenBy(store, bob, alice)).toMatchObject({ state: 'active' })
    })
  })

  describe('an erased account', () => {
    const shared = shareStore(engine)

    test('needs its uid as a confirmation, and nothing happens without', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const wrong = store.run({ name: 'accounts.erase', caller: alice, params: { confirm: bob.uid } })
      expect(await refusalOf(wrong)).toBe('bad_request')
      expect(await stateSeenBy(store, bob, alice)).toMatchObject({ state: 'active' })
    })

    test('leaves its messages without content, and no contact, profile, login or phone', async () => {
      const store = shared()
      const { caller: alice, sid, phone } = await logIn(store)
      const [bob] = await createPeople(store, 'bob')
      await befriend(store, alice, bob)
      await store.run({
        name: 'profile.set',
        caller: alice,
        params: { name: 'Alice', attributes: { a: 'b' } },
      })
      const log = directLog(alice, bob)
      await send(store, alice, log, 'a secret', 'id-1')
      await send(store, bob, log, 'an answer')
      for (const caller of [alice, bob]) {
        await store.run({ name: 'messages.react', caller, params: { log, seq: 2, emoji: '👍' } })
      }
      const { version } = await store.run({ name: 'contacts.list', caller: bob, params: {} })

      await erase(store, alice)

      for (const login of [sid, null]) expect(await refusalOf(check(store, alice, login))).toBe('revoked')
      expect(await refusalOf(check(store, alice, null, Date.now() + NEXT_SECOND_MS))).toBe('revoked')
      const entries = await readAll(store, bob, log)
      const [first, answer] = entries
      const last = entries.at(-1)
      expect(first).toMatchObject({
        seq: 1,
        kind: 'message',
        from: alice.uid,
        body: {},
        state: { recalled: { by: alice.uid, reason: 'erased' } },
      })
      expect(answer).toMatchObject({ body: { text: 'an answer' }, state: { reactions: { '👍': 1 } } })
      expect(last).toMatchObject({ kind: 'notice', type: 'erased', body: { uid: alice.uid } })
      const changes = await store.run({ name: 'contacts.changes', caller: bob, params: { since: version } })
      expect(changes.items).toMatchObject([{ uid: alice.uid, removed: true }])
      expect((await noticesOf(store, bob)).at(-1)).toEqual({ type: 'removed', body: { uid: alice.uid } })
      expect(await stateSeenBy(store, bob, alice)).toEqual({
        uid: alice.uid,
        name: 'deleted account',
        attributes: {},
        kind: 'person',
        state: 'erased',
      })
      // The phone begins a new account, and nobody takes the old uid.
      const again = await logIn(store, phone)
      expect(again.caller.uid).not.toBe(alice.uid)
      expect(await refusalOf(logIn(store, undefined, alice.uid))).toBe('uid_taken')
    })

    test('has left its groups: they go to another owner, who sees that', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const owned = await createGroup(store, alice, bob, carol)
      await send(store, alice, owned, 'of the owner')
      await erase(store, alice)
      const entries = await readAll(store, bob, owned)
      expect(gistOf(entries.filter(({ kind }) => kind === 'group'))).toEqual(['created', 'owner', 'left'])
      expect(entries.find(({ kind }) => kind === 'message')?.body).toEqual({})
      expect(await refusalOf(send(store, alice, owned, 'still there?'))).toBe('not_member')
      await send(store, carol, owned, 'life goes on')
    })

    test('dissolves what nobody is left to own: its room is listed no more and takes nobody in', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const rooms = await Promise.all(
        [true, false].map((keepsEntries) =>
          store.run({ name: 'rooms.create', caller: alice, params: { name: 'r', keepsEntries } }),
        ),
      )
      const alone = await createGroup(store, alice)
      const shownTo = async () =>
        (await store.run({ name: 'rooms.list', caller: bob, params: {} })).items.map(({ id }) => id)
      expect(await shownTo()).toEqual(expect.arrayContaining(rooms.map(({ id }) => id)))
      const { token } = await store.run({ name: 'groups.createLink', caller: alice, params: { id: alone } })
      await erase(store, alice)
      const shown = await shownTo()
      for (const { id } of rooms) {
        expect(shown).not.toContain(id)
        const joined = store.run({ name: 'rooms.join', caller: bob, params: { id } })
        expect(await refusalOf(joined)).toBe('unknown_group')
      }
      const joined = store.run({ name: 'groups.join', caller: bob, params: { token } })
      expect(await refusalOf(joined)).toBe('link_ended')
    })

    test('goes in steps that any process takes up where another stopped', async () => {
      const engineOfTest = engine()
      await using store = await engineOfTest.open()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await Promise.all(Array.from({ length: 150 }, (_, i) => send(store, alice, log, `message ${i}`)))
      await store.run({ name: 'accounts.erase', caller: alice, params: { confirm: alice.uid } })
      const emptied = async () =>
        (await readAll(store, bob, log)).filter(({ state }) => state?.recalled !== undefined).length
      while ((await emptied()) === 0) await store.perform({ task: 'eraseStep', input: {} })
      expect(await emptied()).toBeLessThan(150)
      // Several at once, as of several nodes.
      const workers = Array.from({ length: 3 }, async () => {
        while ((await store.perform({ task: 'eraseStep', input: {} })).more) {
          // Until nothing is left.
        }
      })
      await Promise.all(workers)
      expect(await emptied()).toBe(150)
      const notices = (await readAll(store, bob, log)).filter(({ kind }) => kind === 'notice')
      expect(notices.length).toBe(1)
    })
  })
}
