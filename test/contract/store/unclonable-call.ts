/** Calls of our own code that a store in another thread or process cannot be asked. */
import { expect } from 'vitest'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { createPeople, directLog, refusalOf, send } from './people.ts'

/** Hands in a call with a function in it between a send and a call that are whole. */
export async function expectOneRefused(store: Store): Promise<void> {
  const [alice] = await createPeople(store, 'alice')
  const withFunction: Caller = { ...alice, ...{ toString: () => 'alice' } }
  const sent = send(store, alice, directLog(alice, alice), 'note')
  const refused = refusalOf(store.run({ name: 'conversations.badge', caller: withFunction, params: {} }))
  const answered = store.run({ name: 'conversations.badge', caller: alice, params: {} })
  expect(await refused).toContain('run: what it was called with is no plain data')
  expect([await sent, await answered]).toMatchObject([{ seq: 1 }, { badge: 0 }])
}
