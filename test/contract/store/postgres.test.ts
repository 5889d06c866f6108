import { afterAll, beforeAll, describe } from 'vitest'
import { createPostgresEngine } from './postgres-engine.ts'
import { storeContract } from './store-contract.ts'

describe('the PostgreSQL store', () => {
  let engine: Awaited<ReturnType<typeof createPostgresEngine>>
  beforeAll(async () => {
    engine = await createPostgresEngine()
  })
  afterAll(() => engine[Symbol.asyncDispose]())

  storeContract(() => engine)
})
