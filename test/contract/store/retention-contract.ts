import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { Store } from '../../../services/store/contract.ts'
import type { RetentionTimes } from '../../../services/store/operations/operator/retention.ts'
import { untilAfter } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { badgeOf, conversationOf, createFriends, createGroup, directLog, refusalOf, send } from './people.ts'
import { openRawTables } from './raw-tables.ts'

const KEEP_ALL: RetentionTimes = { direct: null, system: null, group: null, room: null, notice: null }

/** One round over all logs, as the service makes it; `only` keeps other tests' logs. */
async function deleteOlder(store: Store, times: RetentionTimes, only: LogId): Promise<void> {
  for (let after = 0; ; ) {
    const input = { after, limit: 100, times }
    const { expired, next } = await store.perform({ task: 'findExpired', input })
    const mine = expired.filter(({ log }) => log === only)
    for (const due of mine) while (!(await store.perform({ task: 'deleteExpired', input: due })));
    if (mine.length > 0) continue
    if (next === null) return
    after = next
  }
}

export function retentionContract(engine: () => StoreEngine): void {
  describe('retention', () => {
    const shared = shareStore(engine)

    test('what is too old is gone, numbers stay, and unread is what can still be seen', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (let i = 1; i < 450; i++) await send(store, i % 3 === 0 ? bob : alice, log, `old ${i}`)
      const last = await send(store, bob, log, 'old 450')
      await untilAfter(last.at)
      await send(store, alice, log, 'new')
      await deleteOlder(store, { ...KEEP_ALL, direct: last.at + 1 }, log)
      const page = await store.run({ name: 'messages.page', caller: bob, params: { log, after: 0 } })
      expect(page.entries.map(({ seq, body }) => [seq, body])).toEqual([[451, { text: 'new' }]])
      expect(page).toMatchObject({ first: 451, head: 451 })
      expect(await conversationOf(store, bob, log)).toMatchObject({ unread: 1, head: 451 })
      expect(await badgeOf(store, bob)).toBe(1)
      expect(await badgeOf(store, alice)).toBe(0)
      expect((await send(store, bob, log, 'next')).seq).toBe(452)
    })

    test('what very many had deleted for themselves is gone from there too, a part at a time', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const { seq, at } = await send(store, alice, log, 'old')
      await using tables = await openRawTables(engine())
      await tables.query(
        `with recursive number (n) as (select 1 union all select n + 1 from number where n < 4500)
         insert into hidden (account, log, seq)
         select 1000000 + number.n, log.n, ${seq} from number, log where log.name = '${log}'`,
      )
      await deleteOlder(store, { ...KEEP_ALL, direct: at + 1 }, log)
      const hidden = `select 1 as one from hidden where log = (select n from log where name = '${log}')`
      expect(await tables.query(hidden)).toEqual([])
    })

    test('a device that had not received what is gone is told by a gap', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (let i = 1; i < 5; i++) await send(store, alice, log, `old ${i}`)
      const last = await send(store, alice, log, 'old 5')
      await untilAfter(last.at)
      await send(store, alice, log, 'new')
      await deleteOlder(store, { ...KEEP_ALL, direct: last.at + 1 }, log)
      const request = { requests: [{ log, after: 2 }], entriesMax: 10, bytesMax: 100_000 }
      const { pages } = await store.drain({ ...bob, ...request })
      expect(pages).toMatchObject([{ gap: { to: 5, reason: 'retention' }, seqs: [6], head: 6 }])
    })

    test('a send repeated under an id that went with its message is a new message', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const first = await send(store, alice, log, 'old', 'one')
      expect(await send(store, alice, log, 'old', 'one')).toEqual(first)
      await deleteOlder(store, { ...KEEP_ALL, direct: first.at + 1 }, log)
      expect(await send(store, alice, log, 'old', 'one')).toMatchObject({ seq: 2 })
      expect(await refusalOf(send(store, alice, log, 'other', 'one'))).toBe('id_conflict')
      const page = await store.run({ name: 'messages.page', caller: bob, params: { log, after: 0 } })
      expect(page).toMatchObject({ first: 2, entries: [{ seq: 2, id: 'one', body: { text: 'old' } }] })
    })

    test('each kind of conversation has its own time', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      const { at } = await send(store, alice, group, 'kept')
      await deleteOlder(store, { ...KEEP_ALL, direct: at + 1, notice: at + 1 }, group)
      expect(await conversationOf(store, bob, group)).toMatchObject({ unread: 1, head: 2 })
      await deleteOlder(store, { ...KEEP_ALL, group: at + 1 }, group)
      const page = await store.run({ name: 'messages.page', caller: bob, params: { log: group, after: 0 } })
      expect(page).toMatchObject({ entries: [], head: 2, first: 3 })
      expect(await badgeOf(store, bob)).toBe(0)
    })
  })
}
