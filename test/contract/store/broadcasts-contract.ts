import { describe, expect, test } from 'vitest'
import type { Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import { createPeople, createUid, refusalOf } from './people.ts'

const HOLDER = { leaseMs: 60_000 }

async function createSystem(store: Store): Promise<string> {
  const uid = createUid('news')
  await operate(store, 'addSystemAccount', { uid, name: 'News' })
  return uid
}

const lease = (store: Store, node: string) =>
  store.perform({ task: 'leaseBroadcasts', input: { node, isAlone: false, ...HOLDER } })

const page = (store: Store, id: string, node: string, limit: number) =>
  store.perform({ task: 'pageBroadcast', input: { id, node, limit, ...HOLDER } })

const advance = (store: Store, id: string, node: string, through: number, sent: number) =>
  store.perform({ task: 'advanceBroadcast', input: { id, node, through, sent, skipped: 0, ...HOLDER } })

const stateOf = async (store: Store, id: string) =>
  (await operate(store, 'broadcasts', {})).broadcasts.find((row) => row.id === id)

export function broadcastsContract(engine: () => StoreEngine): void {
  describe('broadcasts', () => {
    const shared = shareStore(engine)

    test('pages go over everybody of the filter once, and the last one ends it', async () => {
      const store = shared()
      const from = await createSystem(store)
      const people = await createPeople(store, 'a', 'b', 'c', 'd')
      const uids = people.map(({ uid }) => uid)
      const id = createUid('b').replace('.', '-')
      await operate(store, 'broadcast', { id, from, body: { text: 'hi' }, filter: { uids } })
      await createPeople(store, 'later')
      expect(await page(store, id, 'a', 3)).toBeNull()
      expect(await lease(store, 'a')).toContain(id)
      expect(await lease(store, 'b')).not.toContain(id)
      const first = (await page(store, id, 'a', 3))!
      expect(first).toMatchObject({ from, type: 'text', bodyJson: '{"text":"hi"}' })
      // Not advanced: the same page again.
      expect(await page(store, id, 'a', 3)).toEqual(first)
      await advance(store, id, 'a', first.through, first.to.length)
      const got = first.to.map(({ uid }) => uid)
      for (let next = await page(store, id, 'a', 3); next !== null; next = await page(store, id, 'a', 3)) {
        got.push(...next.to.map(({ uid }) => uid))
        await advance(store, id, 'a', next.through, next.to.length)
      }
      expect(got).toEqual(uids)
      expect(await stateOf(store, id)).toMatchObject({ state: 'done', sent: 4, endedAt: expect.any(Number) })
    })

    test('one id is one broadcast, stopped at once; only system accounts send them', async () => {
      const store = shared()
      const from = await createSystem(store)
      const [alice] = await createPeople(store, 'alice')
      const id = createUid('b').replace('.', '-')
      const input = { id, from, body: { text: 'hi' }, filter: { uids: [alice.uid] } }
      await operate(store, 'broadcast', input)
      expect(await operate(store, 'broadcast', input)).toMatchObject({ id, state: 'running' })
      const other = { ...input, body: { text: 'ho' } }
      expect(await refusalOf(operate(store, 'broadcast', other))).toBe('id_conflict')
      await lease(store, 'a')
      expect(await operate(store, 'stopBroadcast', { id })).toMatchObject({ state: 'stopped' })
      expect(await page(store, id, 'a', 3)).toBeNull()
      expect(await refusalOf(operate(store, 'stopBroadcast', { id: 'none' }))).toBe('unknown_broadcast')
      const byPerson = { ...input, id: 'x', from: alice.uid }
      expect(await refusalOf(operate(store, 'broadcast', byPerson))).toBe('not_a_system_account')
      const malformed = { ...input, id: 'y', body: { text: 1 } }
      expect(await refusalOf(operate(store, 'broadcast', malformed))).toBe('bad_request')
    })
  })
}
