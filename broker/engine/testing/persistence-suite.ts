/**
 * The abstract suite of aedes-persistence over our store, in SQLite or in PostgreSQL as the argument says; run by
 * `node --test`, see persistence.test.ts.
 */
import { createRequire } from 'node:module'
import { after, test } from 'node:test'
import { inPostgres, inSqlite } from '../../../test/cluster/plain-nodes.ts'
import { PlainPersistence } from '../persistence.ts'
import { ENGINE_SETTINGS } from './engine-settings.ts'

type AbstractSuite = (options: {
  test: typeof test
  persistence: () => Promise<unknown>
  testAsync: true
}) => void

const runAbstractSuite = createRequire(import.meta.url)('aedes-persistence/abstract.js') as AbstractSuite

/** One store for all tests, because a start takes longer than most of them: `destroy` empties it. */
const stores = process.argv[2] === 'postgres' ? await inPostgres() : await inSqlite()
const store = await stores.open('suite')
after(() => stores[Symbol.asyncDispose]())

class SuitePersistence extends PlainPersistence {
  constructor() {
    super(store, {
      queuedMax: ENGINE_SETTINGS.queuedMessagesMax,
      retainedIndexBytesMax: ENGINE_SETTINGS.retainedIndexBytesMax,
      isShared: process.argv[2] === 'postgres',
    })
  }

  override async destroy(): Promise<void> {
    for (const { clientId } of await store.pagePlainSessions({ after: '', entriesMax: 1000 })) {
      await store.endPlainSession({ clientId, generation: null })
    }
    for (const topic of await store.pagePlainTopics({ after: null, entriesMax: 1000 })) {
      await this.storeRetained({ topic, payload: '' })
    }
    for (const { clientId } of await store.pagePlainWills({ after: '', entriesMax: 1000 })) {
      await store.dropPlainWill({ clientId, will: null })
    }
  }
}

runAbstractSuite({ test, persistence: async () => new SuitePersistence(), testAsync: true })
