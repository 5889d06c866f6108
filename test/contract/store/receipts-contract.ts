import { describe, expect, test } from 'vitest'
import { buildClientId, type DeviceId, type LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  directLog,
  leaveGroup,
  markRead,
  refusalOf,
  send,
} from './people.ts'

const receiptsOf = (store: Store, caller: Caller, log: string, seq?: number) =>
  store.run({
    name: 'messages.receipts',
    caller,
    params: seq === undefined ? { log } : { log, seq },
  })

const readersOf = (store: Store, caller: Caller, log: string, seq: number, page: object = {}) =>
  store.run({ name: 'messages.readers', caller, params: { log, seq, ...page } })

/** A device that is there from now on, and acknowledges a log up to a seq. */
async function connect(store: Store, { uid }: Caller): Promise<(log: LogId, seq: number) => Promise<void>> {
  const device = 'acker' as DeviceId
  const { session, generation } = await store.openSession({
    ...{ clientId: buildClientId(uid, device), uid, device, sid: null, issuedAt: Date.now() },
    ...{ cleanStart: false, persistent: true, devicesMax: 10 },
  })
  await store.startInbox({ uid, session, generation, backlogMax: 100 })
  return (log, seq) => store.saveCursors([{ session: session!, generation, log, seq, epoch: 'k1' }])
}

const keepReadsSecret = (store: Store, caller: Caller) =>
  store.run({ name: 'settings.set', caller, params: { sendReadReceipts: false } })

export function receiptsContract(engine: () => StoreEngine): void {
  describe('receipts', () => {
    const shared = shareStore(engine, { policy: { receiptMembersMax: 4 } })

    test('of a direct conversation say what the other has got and read', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const acknowledge = await connect(store, bob)
      const log = directLog(alice, bob)
      for (const text of ['1', '2', '3', '4']) await send(store, alice, log, text)
      expect(await receiptsOf(store, alice, log)).toEqual({ delivered: 0, read: 0 })
      await acknowledge(log, 3)
      await markRead(store, bob, log, 1)
      expect(await receiptsOf(store, alice, log)).toEqual({ delivered: 3, read: 1 })
      await markRead(store, bob, log, 4)
      expect(await receiptsOf(store, alice, log)).toEqual({ delivered: 4, read: 4 })
      expect(await refusalOf(receiptsOf(store, eve, log))).toBe('unknown_log')
    })

    test('of one message say whether the other has it and has read it, as far as they tell', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const acknowledge = await connect(store, bob)
      const log = directLog(alice, bob)
      for (const text of ['1', '2', '3']) await send(store, alice, log, text)
      await send(store, bob, log, 'mine')
      await acknowledge(log, 2)
      await markRead(store, bob, log, 1)
      const ofEach = () => Promise.all([1, 2, 3, 4].map((seq) => receiptsOf(store, alice, log, seq)))
      expect(await ofEach()).toEqual([
        { delivered: 2, read: 1, deliveredTo: true, readBy: true },
        { delivered: 2, read: 1, deliveredTo: true, readBy: false },
        { delivered: 2, read: 1, deliveredTo: false, readBy: false },
        { delivered: 2, read: 1, deliveredTo: true, readBy: true },
      ])
      expect(await refusalOf(receiptsOf(store, alice, log, 5))).toBe('unknown_entry')
      await keepReadsSecret(store, bob)
      expect(await receiptsOf(store, alice, log, 1)).toEqual({ delivered: 2, deliveredTo: true })
    })

    test('do not tell what the other reads who keeps it to themselves', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const acknowledge = await connect(store, bob)
      const log = directLog(alice, bob)
      for (const text of ['1', '2']) await send(store, alice, log, text)
      await keepReadsSecret(store, bob)
      await acknowledge(log, 1)
      await markRead(store, bob, log, 2)
      expect(await receiptsOf(store, alice, log)).toEqual({ delivered: 1 })
      expect((await receiptsOf(store, bob, log)).read).toBe(0)
    })

    test('of a group count members who were in at the message, without its author, and list them in pages', async () => {
      const store = shared()
      const [alice, bob, carl, dora] = await createFriends(store, 'alice', 'bob', 'carl', 'dora')
      const group = await createGroup(store, alice, bob, carl)
      const { seq } = await send(store, alice, group, 'who reads this?')
      await addMembers(store, alice, group, dora)
      await markRead(store, dora, group, 99)
      expect(await readersOf(store, alice, group, seq)).toEqual({ read: 0, of: 2, items: [] })
      await markRead(store, bob, group, seq)
      await markRead(store, carl, group, seq + 1)
      const first = await readersOf(store, carl, group, seq, { limit: 1 })
      expect(first).toMatchObject({ read: 2, of: 2, items: [{ uid: bob.uid, readSeq: seq }] })
      expect(await readersOf(store, carl, group, seq, { cursor: first.cursor })).toEqual({
        ...{ read: 2, of: 2, items: [{ uid: carl.uid, readSeq: seq + 1 }] },
      })
      await keepReadsSecret(store, bob)
      await leaveGroup(store, carl, group)
      expect(await readersOf(store, alice, group, seq)).toEqual({ read: 0, of: 1, items: [] })
    })

    test('are refused for what one cannot see, in large groups, and where there is no such conversation', async () => {
      const store = shared()
      const [alice, bob, carl, dora, eve] = await createFriends(
        ...([store, 'alice', 'bob', 'carl', 'dora', 'eve'] as const),
      )
      const group = await createGroup(store, alice, bob)
      const { seq } = await send(store, alice, group, 'x')
      await addMembers(store, alice, group, carl)
      expect(await refusalOf(readersOf(store, carl, group, seq))).toBe('unknown_entry')
      expect(await refusalOf(readersOf(store, alice, group, 99))).toBe('unknown_entry')
      expect(await refusalOf(readersOf(store, eve, group, seq))).toBe('unknown_log')
      await send(store, alice, directLog(alice, bob), 'x')
      expect(await refusalOf(readersOf(store, alice, directLog(alice, bob), 1))).toBe('bad_request')
      expect(await refusalOf(receiptsOf(store, alice, group))).toBe('bad_request')
      await addMembers(store, alice, group, dora)
      await addMembers(store, alice, group, eve)
      expect(await refusalOf(readersOf(store, alice, group, seq))).toBe('receipts_off')
    })
  })
}
