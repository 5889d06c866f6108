import { describe, expect, test } from 'vitest'
import { type StoreEngine, shareStore } from './engine.ts'
import { recordFeed } from './feed-recorder.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  createPeople,
  directLog,
  leaveGroup,
  markRead,
  removeMembers,
  send,
} from './people.ts'
import { takeTurns } from './turns.ts'

export function feedContract(engine: () => StoreEngine): void {
  describe('the feed of commits', () => {
    const shared = shareStore(engine)

    test('says who joined before the entry that lets them in, and who left after the one that lets them out', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const feed = recordFeed(store)
      const group = await createGroup(store, alice, bob)
      await addMembers(store, alice, group, carol)
      await removeMembers(store, alice, group, bob)
      await leaveGroup(store, alice, group)
      expect(feed.said).toEqual([
        'joined alice 1',
        'joined bob 1',
        'entry alice 1 created',
        'joined carol 2',
        'entry alice 2 added',
        'entry alice 3 removed',
        'left bob 3',
        'entry alice 4 owner',
        'entry alice 5 left',
        'left alice 5',
      ])
    })

    test('has sends and calls in the order in which they were handed in', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const group = await createGroup(store, alice, bob)
      const feed = recordFeed(store)
      const nobody = { uid: 'nobody' as typeof carol.uid, device: null }
      await takeTurns(engine(), [
        [alice, () => send(store, alice, group, 'one')],
        [bob, () => addMembers(store, bob, group, carol)],
        [carol, () => send(store, carol, group, 'two')],
        [carol, () => send(store, carol, directLog(carol, nobody), 'refused')],
        [bob, () => markRead(store, bob, group, 2)],
        [alice, () => removeMembers(store, alice, group, carol)],
        [carol, () => send(store, carol, group, 'too late')],
        [alice, () => send(store, alice, group, 'three')],
      ])
      expect(feed.said).toEqual([
        'entry alice 2 one',
        'joined carol 3',
        'entry bob 3 added',
        'entry carol 4 two',
        'read bob 2',
        'entry alice 5 removed',
        'left carol 5',
        'entry alice 6 three',
      ])
    })

    test('has said everything of a call when its promise resolves, and nothing of a refused one', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const feed = recordFeed(store)
      await store.run({ name: 'contacts.request', caller: alice, params: { uid: bob.uid } })
      expect(feed.said).toEqual(['entry alice 1 requested', 'entry alice 1 asked'])
      expect(feed.entries.map((entry) => entry.log)).toEqual([`n:${alice.uid}`, `n:${bob.uid}`])
      await leaveGroup(store, alice, 'g:unknown').catch(() => null)
      expect(feed.said).toHaveLength(2)
    })

    test('says a repeated send and a repeated call once', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const feed = recordFeed(store)
      const log = directLog(alice, bob)
      await Promise.all([send(store, alice, log, 'one', 'id'), send(store, alice, log, 'one', 'id')])
      for (let i = 0; i < 2; i++) {
        await store.run({ name: 'contacts.remove', caller: alice, params: { uid: bob.uid, requestId: 'r' } })
      }
      expect(feed.said).toEqual(['entry alice 1 one', 'entry alice 3 removed', 'entry alice 3 removed'])
    })

    test('says nothing of a read pointer that does not move', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'one')
      const feed = recordFeed(store)
      for (const seq of [1, 1, 0, 99]) await markRead(store, bob, log, seq)
      expect(feed.said).toEqual(['read bob 1'])
    })
  })
}
