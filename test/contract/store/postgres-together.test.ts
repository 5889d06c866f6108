/** What PostgreSQL answers for many devices in one statement is what each of them would have been told alone. */
import { expect, test } from 'vitest'
import { buildClientId, type DeviceId, type UserId } from '../../../protocol/ids.ts'
import type { SharedStore } from '../../../services/store/shared-store.ts'
import { createDatabase } from '../../harness/postgres.ts'
import { openStore } from './postgres-engine.ts'

const phone = 'phone' as DeviceId
const HOUR = 3_600_000
const uidOf = (n: number) => `u${String(n).padStart(3, '0')}` as UserId

function connect(store: SharedStore, n: number, { issuedAt = Date.now(), cleanStart = false } = {}) {
  const uid = uidOf(n)
  const terms = { sid: null, issuedAt, cleanStart, persistent: true, devicesMax: 10 }
  return store.openSession({ clientId: buildClientId(uid, phone), uid, device: phone, ...terms })
}

test('of devices that connect at once, each is told its own: resumed, revoked, begun anew, over or new', async () => {
  await using database = await createDatabase()
  await using store = await openStore(database.url)
  const issuedAt = Date.now() - HOUR
  const first = await Promise.all(Array.from({ length: 20 }, (_, n) => connect(store, n, { issuedAt })))
  await store.revokeDevice({ uid: uidOf(1), device: phone })
  const over = { session: first[3]!.session!, generation: 1, expiresAt: Date.now() - 1 }
  await store.closeSession({ clientId: buildClientId(uidOf(3), phone), ...over })

  const again = await Promise.allSettled(
    Array.from({ length: 21 }, (_, n) => connect(store, n, { issuedAt, cleanStart: n === 2 })),
  )
  const outcomes = again.map((outcome) =>
    outcome.status === 'rejected' ? outcome.reason.code : [outcome.value.present, outcome.value.generation],
  )
  const expected: unknown[] = Array.from({ length: 21 }, () => [true, 2])
  expected[1] = 'revoked'
  expected[2] = expected[3] = expected[20] = [false, 1]
  expect(outcomes).toEqual(expected)
})

test('of one device that connects to two nodes at once, each has a generation of its own', async () => {
  await using database = await createDatabase()
  await using a = await openStore(database.url, { node: 'a' })
  await using b = await openStore(database.url, { node: 'b' })
  await Promise.all(Array.from({ length: 30 }, (_, n) => connect(a, n)))
  const opened = await Promise.all(
    Array.from({ length: 30 }, (_, n) => Promise.all([connect(a, n), connect(b, n)])),
  )
  for (const both of opened) expect(both.map(({ generation }) => generation).sort()).toEqual([2, 3])
})

test('a connection that was taken over neither ends the session of the next one nor changes its subscriptions', async () => {
  await using database = await createDatabase()
  await using store = await openStore(database.url)
  const all = Array.from({ length: 10 }, (_, n) => n)
  const earlier = await Promise.all(all.map((n) => connect(store, n)))
  await Promise.all(all.map((n) => connect(store, n)))
  const subscriptions = { inbox: 1, reply: true, live: true } as const
  await Promise.all(
    earlier.flatMap(({ session, generation }, n) => {
      const held = { session: session!, generation }
      const clientId = buildClientId(uidOf(n), phone)
      return [
        store.saveSubscriptions({ ...held, subscriptions }),
        store.closeSession({ clientId, ...held, expiresAt: Date.now() - 1 }),
      ]
    }),
  )
  expect(await store.expireSessions()).toEqual([])
  const { present, subscriptions: kept } = await connect(store, 0)
  expect({ present, kept }).toEqual({ present: true, kept: { inbox: null, reply: false, live: false } })
})
