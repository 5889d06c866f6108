import { describe, expect, test } from 'vitest'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { createPeople } from './people.ts'
import { openRawTables } from './raw-tables.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const WEEK_MS = 7 * DAY_MS

async function makeGroup(store: Store, caller: Caller, requestId: string): Promise<string> {
  const params = { name: 'one', members: [], requestId }
  return (await store.run({ name: 'groups.create', caller, params })).id
}

export function repeatedCallsContract(engine: () => StoreEngine): void {
  describe('calls under a requestId', () => {
    const shared = shareStore(engine)

    test('have their result kept for a week, and no longer than the calls that follow take to forget it', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      await using tables = await openRawTables(engine())
      const account = `(select n from account where uid = '${alice.uid}')`
      const olderThanAWeek = async () => {
        const age = `account = ${account} and at < ${Date.now() - WEEK_MS}`
        return (await tables.query(`select id from request where ${age}`)).length
      }

      const first = await makeGroup(store, alice, 'first')
      await tables.query(`update request set at = at - ${6 * DAY_MS} where account = ${account}`)
      await tables.query(
        `with recursive number (n) as (select 1 union all select n + 1 from number where n < 20)
         insert into request (account, id, op, hash, result, at)
         select ${account}, 'old ' || number.n, 'groups.create', '[]', '{}', ${Date.now() - 8 * DAY_MS} from number`,
      )
      let calls = 0
      for (let old = await olderThanAWeek(); old > 0; old = await olderThanAWeek()) {
        await makeGroup(store, alice, `later ${++calls}`)
        expect(await olderThanAWeek()).toBeLessThan(old)
      }
      // More than one is forgotten with each new one: the table shrinks to its week again.
      expect(calls).toBeLessThan(20)
      expect(await makeGroup(store, alice, 'first')).toBe(first)
    })
  })
}
