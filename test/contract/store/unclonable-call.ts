/** Calls and sends of our own code that a store in another thread or process cannot be asked. */
import { expect } from 'vitest'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { createPeople, directLog, pageOf, refusalOf, send } from './people.ts'

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

/** Hands in a send without marks, where null was to be, between sends and calls that are whole. */
export async function expectBrokenSendRefused(store: Store): Promise<void> {
  const [alice] = await createPeople(store, 'alice')
  const log = directLog(alice, alice)
  const target = { log, peer: null }
  const first = send(store, alice, log, 'first')
  const before = pageOf(store, alice, log)
  const broken = { id: null, target, type: 'text', bodyJson: '{"text":"broken"}', marks: undefined as never }
  const refused = refusalOf(sendAndWait(store, alice, broken))
  const between = pageOf(store, alice, log)
  const second = send(store, alice, log, 'second')
  expect(await refused).toBe('internal')
  expect([await first, await second]).toMatchObject([{ seq: 1 }, { seq: 2 }])
  // Each call keeps its place among the sends that are left.
  expect([(await before).head, (await between).head]).toEqual([1, 1])
  expect(store.metrics.waiting).toBe(0)
}
