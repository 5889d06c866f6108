import { describe, expect, test } from 'vitest'
import type { DeviceId, LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type EngineOptions, type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import {
  addMembers,
  badgeOf,
  conversationOf,
  createFriends,
  createGroup,
  createPeople,
  createUid,
  directLog,
  gistOf,
  readAll,
  refusalOf,
  send,
} from './people.ts'

/** More than one step looks at. */
const MEMBERS = 600
const DAY = 24 * 60 * 60 * 1000
const text = (from: { uid: string }, at: number, words: string, id = words) => ({
  from: from.uid,
  at,
  id,
  body: { text: words },
})

export function importContract(engine: () => StoreEngine): void {
  describe('moving in', () => {
    const shared = shareStore(engine)

    test('accounts are made once, with phone and name; what belongs to somebody else is refused and nothing is made', async () => {
      const store = shared()
      const [a, b, c] = [createUid('a'), createUid('b'), createUid('c')]
      const phone = `+86${String(Date.now()).slice(-11)}`
      const accounts = [{ uid: a, phone, name: 'Anna' }, { uid: b }]
      expect(await operate(store, 'importAccounts', { accounts })).toEqual({ made: 2, known: 0 })
      expect(await operate(store, 'importAccounts', { accounts })).toEqual({ made: 0, known: 2 })
      const stolen = { accounts: [{ uid: c }, { uid: createUid('d'), phone }] }
      expect(await refusalOf(operate(store, 'importAccounts', stolen))).toBe('uid_fixed')
      const other = { accounts: [{ uid: c }, { uid: a, phone: '+4912345678' }] }
      expect(await refusalOf(operate(store, 'importAccounts', other))).toBe('uid_taken')
      const pairs = [{ a, b: c }]
      expect(await refusalOf(operate(store, 'importContacts', { pairs }))).toBe('unknown_user')
    })

    test('pairs are friends at once, on both sides', async () => {
      const store = shared()
      const [alice, bob, carol] = await createPeople(store, 'alice', 'bob', 'carol')
      expect(await refusalOf(send(store, alice, directLog(alice, bob), 'x'))).toBe('not_friends')
      const pairs = [
        { a: alice.uid, b: bob.uid },
        { a: carol.uid, b: alice.uid },
      ]
      expect(await operate(store, 'importContacts', { pairs })).toEqual({ made: 2, known: 0 })
      expect(await operate(store, 'importContacts', { pairs })).toEqual({ made: 0, known: 2 })
      await send(store, alice, directLog(alice, bob), 'x')
      await send(store, bob, directLog(alice, bob), 'x')
    })

    test('messages keep their times, count as read, and the conversation goes on after them', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const messages = [text(alice, 1000, 'one'), text(bob, 2000, 'two'), text(alice, 2000, 'three')]
      expect(await operate(store, 'importMessages', { log, messages })).toEqual({
        stored: 3,
        known: 0,
        head: 3,
      })
      expect(await operate(store, 'importMessages', { log, messages })).toEqual({
        stored: 0,
        known: 3,
        head: 3,
      })
      expect(await badgeOf(store, bob)).toBe(0)
      expect(await send(store, alice, log, 'four')).toMatchObject({ seq: 4 })
      const entries = await readAll(store, bob, log)
      expect(gistOf(entries)).toEqual(['one', 'two', 'three', 'four'])
      expect(entries.slice(0, 3).map(({ at }) => at)).toEqual([1000, 2000, 2000])
      expect([await badgeOf(store, alice), await badgeOf(store, bob)]).toEqual([0, 1])
      // The same id of the same author is the same message, however it came.
      expect(await send(store, alice, log, 'one', 'one')).toMatchObject({ seq: 1 })
    })

    test('a group that was made for it takes the past of its members; nobody else wrote there', async () => {
      const store: Store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const log = await createGroup(store, alice, bob)
      const past = Date.now() - 10 * DAY
      const first = { log, messages: [text(alice, past, 'one'), text(bob, past + DAY, 'two')] }
      expect(await operate(store, 'importMessages', first)).toMatchObject({ stored: 2 })
      const entries = await readAll(store, bob, log)
      const times = entries.map(({ at }) => at)
      expect(times).toEqual(times.toSorted((a, b) => a - b))
      const byEve = { log, messages: [text(eve, past + 2 * DAY, 'three')] }
      expect(await refusalOf(operate(store, 'importMessages', byEve))).toBe('not_member')
    })

    test('time does not go back, an id is not another message, and a refused call stores nothing', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const into = (...messages: ReturnType<typeof text>[]) =>
        operate(store, 'importMessages', { log, messages })
      expect(await refusalOf(into(text(alice, 2000, 'a'), text(alice, 1000, 'b')))).toBe('not_in_order')
      expect(await refusalOf(into(text(alice, Date.now() + DAY, 'a')))).toBe('not_in_order')
      await into(text(alice, 5000, 'a'))
      expect(await refusalOf(into(text(bob, 4000, 'b')))).toBe('not_in_order')
      expect(await refusalOf(into(text(bob, 6000, 'b'), text(alice, 6000, 'other', 'a')))).toBe('id_conflict')
      const noText = { ...text(bob, 6000, 'b'), body: {} as { text: string } }
      expect(await refusalOf(into(noText))).toBe('bad_request')
      const nowhere = { log: 'g:nowhere', messages: [text(alice, 1, 'a1')] }
      expect(await refusalOf(operate(store, 'importMessages', nowhere))).toBe('unknown_group')
      await send(store, bob, log, 'goes on')
      expect(gistOf(await readAll(store, alice, log))).toEqual(['a', 'goes on'])
    })
  })

  test('what is moved into a group counts as read by all: by many in steps, which any process goes on with', async () => {
    const options: EngineOptions = { contactsRequired: false, policy: { groupMembersMax: 2000 } }
    const messageOf = (n: number) => text(owner, 1000 + n, `past ${n}`)
    const [owner, ...members] = Array.from({ length: MEMBERS }, (_, n) => ({
      ...{ uid: createUid(`m${n}`), device: 'phone' as DeviceId },
    })) as [Caller, ...Caller[]]
    const [early, late] = [members[0]!, members.at(-1)!]
    const unreadOf = async (store: Store, caller: Caller) =>
      (await conversationOf(store, caller, log))?.unread
    let log: LogId
    {
      await using store = await engine().open(options)
      for (let n = 0; n < MEMBERS; n += 500) {
        const accounts = [owner, ...members].slice(n, n + 500).map(({ uid }) => ({ uid }))
        await operate(store, 'importAccounts', { accounts })
      }
      log = await createGroup(store, owner)
      for (let n = 0; n < members.length; n += 500) {
        await addMembers(store, owner, log, ...members.slice(n, n + 500))
      }
      await operate(store, 'importMessages', { log, messages: [messageOf(1)] })
      expect([await unreadOf(store, early), await unreadOf(store, late)]).toEqual([0, 1])
      // More comes before all have read the first, and then the conversation goes on.
      await operate(store, 'importMessages', { log, messages: [messageOf(2), messageOf(3)] })
      expect([await unreadOf(store, early), await unreadOf(store, late)]).toEqual([0, 3])
      await send(store, late, log, 'present')
    }
    await using store = await engine().open(options)
    const steps = await Promise.all([1, 2].map(() => readInSteps(store)))
    expect(steps[0]! + steps[1]!).toBeGreaterThan(0)
    expect([await unreadOf(store, early), await unreadOf(store, late)]).toEqual([1, 0])
    await send(store, early, log, 'and more')
    expect([await unreadOf(store, early), await unreadOf(store, late)]).toEqual([1, 1])
  })
}

/** How many steps there were to do. */
async function readInSteps(store: Store): Promise<number> {
  let steps = 0
  while (await store.perform({ task: 'readImported', input: {} })) steps++
  return steps
}
