/** What a person may not see, they do not see, whichever way they look. */
import { describe, expect, test } from 'vitest'
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { createFriends, directLog, gistOf, send } from './people.ts'

/** What a device that was away since `after` is sent. */
async function drainOf(store: Store, { uid }: Caller, log: LogId, after = 0) {
  const request = { uid, device: null, requests: [{ log, after }], entriesMax: 100, bytesMax: 1_000_000 }
  const { pages, bytes } = await store.drain(request)
  const { ends, through, gap } = pages[0]!
  const entries = ends.map((end, i) => JSON.parse(String(bytes.subarray(ends[i - 1] ?? 0, end))) as Entry)
  return { entries, through, gap }
}

const clear = (store: Store, caller: Caller, log: LogId, seq?: number) =>
  store.run({
    name: 'conversations.clear',
    caller,
    params: { log, ...(seq !== undefined && { seq }) },
  })

export function unseenContract(engine: () => StoreEngine): void {
  describe('a history that was cleared', () => {
    const shared = shareStore(engine)

    test('is not sent to devices that were away, which go on behind it', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (const text of ['one', 'two', 'three']) await send(store, alice, log, text)
      await clear(store, bob, log, 2)
      const drained = await drainOf(store, bob, log)
      expect([gistOf(drained.entries), drained.through, drained.gap]).toEqual([['three'], 3, null])
      await clear(store, bob, log)
      expect(await drainOf(store, bob, log, 1)).toEqual({ entries: [], through: 3, gap: null })
      expect(gistOf((await drainOf(store, alice, log)).entries)).toEqual(['one', 'two', 'three'])
    })
  })
}
