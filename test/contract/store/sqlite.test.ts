import { afterAll, beforeAll, describe, test } from 'vitest'
import { createSqliteEngine } from './sqlite-engine.ts'
import { storeContract } from './store-contract.ts'
import { expectBrokenSendRefused, expectOneRefused } from './unclonable-call.ts'

describe('the SQLite store', () => {
  let engine: Awaited<ReturnType<typeof createSqliteEngine>>
  beforeAll(async () => {
    engine = await createSqliteEngine()
  })
  afterAll(() => engine[Symbol.asyncDispose]())

  storeContract(() => engine)

  test('a call with what cannot leave the process is refused, and what was handed in beside it is not', async () => {
    await using store = await engine.open()
    await expectOneRefused(store)
  })

  test('a send that cannot be packed is refused, and what was handed in beside it is not', async () => {
    await using store = await engine.open()
    await expectBrokenSendRefused(store)
  })
})
