import { describe, expect, test } from 'vitest'
import type { Store } from '../../../services/store/contract.ts'
import type { WorkKind } from '../../../services/store/operations/waiting-work.ts'
import { until } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import { createFriends, createUid, directLog, send } from './people.ts'

const LIMIT = 500

async function indexAll(store: Store): Promise<void> {
  while ((await store.perform({ task: 'indexMessages', input: { limit: LIMIT } })) > 0);
}

/** Whether a look finds this kind of work, and whether the next one does after it was done. */
async function foundUntilDone(
  store: Store,
  kind: WorkKind,
  finish: () => Promise<unknown>,
): Promise<boolean> {
  const isFound = async () => (await store.perform({ task: 'findWork', input: {} })).includes(kind)
  await until(isFound, `a look that finds ${kind}`)
  await finish()
  return isFound()
}

/** One look is all that tells a process of work in the background: what it misses is never done. */
export function waitingWorkContract(engine: () => StoreEngine): void {
  describe('work in the background', () => {
    const shared = shareStore(engine)

    test('is not found where there is none', async () => {
      const store = shared()
      await indexAll(store)
      expect(await store.perform({ task: 'findWork', input: {} })).toEqual([])
    })

    test('is found when there is some, and no more when it is done', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'hello')
      expect(await foundUntilDone(store, 'indexing', () => indexAll(store))).toBe(false)

      const planned = { caller: alice, id: 'later', log, type: 'text', bodyJson: '{"text":"later"}' }
      const at = Date.now() + 300
      await store.perform({ task: 'scheduleSend', input: { ...planned, withheld: false, at } })
      const takeDue = () => store.perform({ task: 'takeDueSends', input: { limit: LIMIT } })
      expect(await foundUntilDone(store, 'scheduled', takeDue)).toBe(false)

      await operate(store, 'suspend', { uid: alice.uid, reason: 'spam', until: Date.now() + 300 })
      const end = () => store.perform({ task: 'endSuspensions', input: {} })
      expect(await foundUntilDone(store, 'suspensions', end)).toBe(false)

      const hook = createUid('hook').replace('.', '-')
      await operate(store, 'addWebhook', {
        id: hook,
        url: 'http://127.0.0.1:9/',
        events: ['message.stored'],
      })
      await send(store, alice, log, 'an event')
      const remove = () => operate(store, 'removeWebhook', { id: hook })
      expect(await foundUntilDone(store, 'webhooks', remove)).toBe(false)

      await store.run({ name: 'accounts.erase', caller: alice, params: { confirm: alice.uid } })
      const erase = async () => {
        while ((await store.perform({ task: 'eraseStep', input: {} })).more);
      }
      expect(await foundUntilDone(store, 'erasure', erase)).toBe(false)
    })
  })
}
