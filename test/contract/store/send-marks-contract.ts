import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { ScheduledSend } from '../../../services/store/operations/messages/scheduled.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  conversationOf,
  createFriends,
  createGroup,
  createUid,
  directLog,
  gistOf,
  markRead,
  noticesOf,
  readAll,
  refusalOf,
  send,
} from './people.ts'
import { sendMarked } from './send-rules-contract.ts'

const HOUR = 3_600_000

const mentionsOf = async (store: Store, caller: Caller, log: LogId) =>
  (await conversationOf(store, caller, log))?.mentions

const scheduled = (store: Store, caller: Caller, params: { limit?: number; cursor?: string } = {}) =>
  store.run({ name: 'messages.scheduled', caller, params })

export function sendMarksContract(engine: () => StoreEngine): void {
  describe('what a message asks for', () => {
    const shared = shareStore(engine)

    test('mentions call those who are in the log, whoever else is named', async () => {
      const store = shared()
      const [owner, ann, ben, eve] = await createFriends(store, 'owner', 'ann', 'ben', 'eve')
      const id = await createGroup(store, owner, ann, ben)
      await sendMarked(store, owner, id, { mentions: [ann.uid, eve.uid, owner.uid, createUid('nobody')] })
      expect(await mentionsOf(store, ann, id)).toBe(1)
      expect(await mentionsOf(store, ben, id)).toBe(0)
      expect(await mentionsOf(store, owner, id)).toBe(0)
      await sendMarked(store, owner, id, { mentions: 'all' })
      expect(await mentionsOf(store, ben, id)).toBe(1)
    })

    test('an answer is to an entry that its author can see, of this log or another one', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const log = directLog(alice, bob)
      const { seq } = await send(store, alice, log, 'question')
      await sendMarked(store, bob, log, { replyTo: { log: null, seq } })
      await sendMarked(store, bob, directLog(bob, eve), { replyTo: { log, seq } })
      for (const replyTo of [
        { log: null, seq: 99 },
        { log: 'g:none', seq: 1 },
        { log: directLog(alice, eve), seq: 1 },
      ]) {
        expect(await refusalOf(sendMarked(store, bob, log, { replyTo }))).toBe('unknown_entry')
      }
      expect(await refusalOf(sendMarked(store, eve, directLog(bob, eve), { replyTo: { log, seq } }))).toBe(
        'unknown_entry',
      )
    })

    test('of a batch, only what was accepted leaves something', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const sends = await Promise.allSettled([
        sendMarked(store, alice, log, { mentions: [bob.uid] }, { id: 'a' }),
        sendMarked(store, alice, log, { media: ['none'], mentions: [bob.uid] }),
        sendMarked(store, alice, log, { mentions: [bob.uid] }, { id: 'a' }),
        send(store, alice, log, 'plain'),
      ])
      expect(sends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
      expect(await conversationOf(store, bob, log)).toMatchObject({ head: 2, unread: 2, mentions: 1 })
    })

    test('a message that destroys itself loses its content at its time, for everybody, and is told of', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const expire = { afterMs: 1 }
      const { seq } = await sendMarked(store, alice, log, { expire }, { body: { text: 'secret', expire } })
      await send(store, alice, log, 'stays')
      await until(async () => (await store.perform({ task: 'expireMessages', input: { limit: 50 } })) > 0)
      const [gone, stays, told] = await readAll(store, bob, log)
      expect(gone).toMatchObject({ seq, body: {}, state: { recalled: { reason: 'expired', by: alice.uid } } })
      expect(stays).toMatchObject({ body: { text: 'stays' } })
      expect(told).toMatchObject({ kind: 'recall', type: 'expired', body: { seq } })
      expect(await store.perform({ task: 'expireMessages', input: { limit: 50 } })).toBe(0)
    })

    test('"after it was read" begins when the other person reads, not its author', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const expire = { afterReadMs: 1 }
      await sendMarked(store, alice, log, { expire }, { body: { text: 'secret', expire } })
      await markRead(store, alice, log, 1)
      expect(await store.perform({ task: 'expireMessages', input: { limit: 50 } })).toBe(0)
      await markRead(store, bob, log, 1)
      await until(async () => (await store.perform({ task: 'expireMessages', input: { limit: 50 } })) > 0)
      expect((await readAll(store, bob, log))[0]!.body).toEqual({})
    })
  })

  describe('a message that is planned', () => {
    const shared = shareStore(engine)

    const plan = (store: Store, caller: Caller, log: LogId, over: Partial<ScheduledSend> = {}) =>
      store.perform({
        task: 'scheduleSend',
        input: {
          ...{ caller, id: 'later', log, type: 'text', bodyJson: '{"text":"later"}', withheld: false },
          at: Date.now() + HOUR,
          ...over,
        },
      })

    test('is listed for its author, the next one first, and can be taken back', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const at = Date.now() + HOUR
      await plan(store, alice, log, { id: 'b', at: at + 1 })
      await plan(store, alice, log, { id: 'a', at })
      await plan(store, alice, log, { id: 'a', at })
      expect(await refusalOf(plan(store, alice, log, { id: 'a', at: at + 5 }))).toBe('id_conflict')
      expect(await refusalOf(plan(store, alice, log, { at: Date.now() - 1 }))).toBe('bad_request')
      const { items, cursor } = await scheduled(store, alice, { limit: 1 })
      expect(items).toEqual([{ id: 'a', to: log, type: 'text', body: { text: 'later' }, at }])
      expect((await scheduled(store, alice, { limit: 1, cursor: cursor! })).items).toMatchObject([
        { id: 'b' },
      ])
      expect((await scheduled(store, bob)).items).toEqual([])
      const takeBack = (caller: Caller) =>
        store.run({ name: 'messages.unschedule', caller, params: { id: 'a' } })
      expect(await refusalOf(takeBack(bob))).toBe('unknown_schedule')
      await takeBack(alice)
      expect(await refusalOf(takeBack(alice))).toBe('unknown_schedule')
      expect((await scheduled(store, alice)).items).toMatchObject([{ id: 'b' }])
    })

    test('is taken once when it is due, and its author is told when it was refused', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await plan(store, alice, log, { at: Date.now() + 1000 })
      const taken: number[] = []
      await until(async () => {
        const takes = await Promise.all(
          [1, 2, 3].map(() => store.perform({ task: 'takeDueSends', input: { limit: 10 } })),
        )
        taken.push(...takes.flat().flatMap(({ n, uid }) => (uid === alice.uid ? [n] : [])))
        return taken.length > 0
      })
      expect(taken).toHaveLength(1)
      await store.perform({ task: 'settleSend', input: { n: taken[0]!, refusal: 'blocked' } })
      await store.perform({ task: 'settleSend', input: { n: taken[0]!, refusal: 'blocked' } })
      expect((await noticesOf(store, alice)).filter(({ type }) => type === 'schedule_failed')).toEqual([
        { type: 'schedule_failed', body: { id: 'later', to: log, at: expect.any(Number), code: 'blocked' } },
      ])
      expect((await scheduled(store, alice)).items).toEqual([])
    })
  })

  describe('messages that are forwarded', () => {
    const shared = shareStore(engine)

    test('are read as their reader sees them, with their content', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'one')
      await send(store, bob, log, 'two')
      const expire = { afterMs: HOUR }
      await sendMarked(store, bob, log, { expire }, { body: { text: 'secret', expire } })
      const read = (caller: Caller, ...seqs: number[]) =>
        store.perform({ task: 'readOrigins', input: { caller, log, seqs } })
      const origins = await read(bob, 2, 1)
      expect(origins.map(({ from, body }) => [from, body.text])).toEqual([
        [alice.uid, 'one'],
        [bob.uid, 'two'],
      ])
      expect(await refusalOf(read(bob, 1, 9))).toBe('unknown_entry')
      expect(await refusalOf(read(eve, 1))).toBe('unknown_log')
      expect(await refusalOf(read(bob, 3))).toBe('forbidden')
      await store.run({ name: 'messages.recall', caller: bob, params: { log, seq: 2 } })
      expect(await refusalOf(read(bob, 2))).toBe('recalled')
      expect(gistOf(await readAll(store, alice, log))).toContain('one')
    })
  })
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 5000, interval: 20 }).toBe(true)
}
