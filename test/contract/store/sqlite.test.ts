import { afterAll, beforeAll, describe } from 'vitest'
import { createSqliteEngine } from './sqlite-engine.ts'
import { storeContract } from './store-contract.ts'

describe('the SQLite store', () => {
  let engine: Awaited<ReturnType<typeof createSqliteEngine>>
  beforeAll(async () => {
    engine = await createSqliteEngine()
  })
  afterAll(() => engine[Symbol.asyncDispose]())

  storeContract(() => engine)
})
