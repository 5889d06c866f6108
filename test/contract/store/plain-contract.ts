/** Plain MQTT: queues, retained messages, half-open QoS 2, wills, and what keeps nodes around one store apart. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { PlainPublication, PlainStore, PlainTarget } from '../../../services/store/plain.ts'
import { type StoreEngine, shareStore } from './engine.ts'

const QUEUED_MAX = 1000

/** A client id that no other test uses. */
const newClient = () => `${randomUUID()}/phone`

function publication(
  topic: string,
  text: string,
  rest: Partial<Omit<PlainPublication, 'message'>> & { expiresAt?: number } = {},
): PlainPublication {
  const { expiresAt = null, ...given } = rest
  const message = { topic, payload: Buffer.from(text), head: '{}', origin: randomUUID(), expiresAt }
  return { message, retained: null, targets: [], receipt: null, will: null, ...given }
}

function target(clientId: string, rest: Partial<PlainTarget> = {}): PlainTarget {
  return { clientId, qos: 1, retain: false, identifiers: [], packetId: null, generation: null, ...rest }
}

async function publish(store: PlainStore, ...publications: PlainPublication[]) {
  const result = await store.publishPlain({ publications, known: null, queuedMax: QUEUED_MAX })
  if (result.stale) throw new Error('stale without a known version')
  return result
}

async function resume(store: PlainStore, clientId: string) {
  const { generation, ...session } = await store.resumePlain({ clientId, persistent: true })
  return { ...session, generation: generation! }
}

async function take(
  store: PlainStore,
  clientId: string,
  rest: Partial<Parameters<PlainStore['takePlain']>[0]> = {},
) {
  const input = {
    clientId,
    generation: null,
    after: 0,
    packetIds: null,
    entriesMax: 100,
    bytesMax: 1e6,
    ...rest,
  }
  const { deliveries, ...about } = await store.takePlain(input)
  const texts = deliveries.map(({ payload }) => Buffer.from(payload as Uint8Array).toString())
  return { ...about, deliveries, texts }
}

export function plainContract(engine: () => StoreEngine): void {
  describe('plain MQTT', () => {
    const store = shareStore(engine)
    describe('queues', () => queues(store))
    describe('sessions and subscriptions', () => sessions(store))
    describe('retained messages', () => retained(store))
    describe('wills', () => wills(store))
  })
}

function queues(store: () => PlainStore): void {
  test('messages wait in the order in which they were taken, and are handed out once with an id', async () => {
    const bob = newClient()
    const { generation } = await resume(store(), bob)
    const batch = ['0', '1', '2'].map((text) =>
      publication('t', text, { targets: [target(bob, { qos: 2, retain: true, identifiers: [7, 9] })] }),
    )
    const { outcomes } = await publish(store(), ...batch)
    const numbers = outcomes.map(({ message }) => message)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(outcomes[0]).toEqual({ taken: true, message: numbers[0] })

    const first = await take(store(), bob, { generation, packetIds: [5, 6], entriesMax: 2 })
    expect(first).toMatchObject({ texts: ['0', '1'], full: false, isHeld: true })
    expect(first.deliveries[0]).toMatchObject({
      message: numbers[0],
      packetId: 5,
      state: 'queued',
      qos: 2,
      retain: true,
      identifiers: [7, 9],
    })
    const again = await take(store(), bob, { generation, packetIds: [8] })
    expect(again.deliveries.map(({ packetId, state }) => [packetId, state])).toEqual([
      [5, 'sent'],
      [6, 'sent'],
      [8, 'queued'],
    ])
    expect(await store().releasePlain({ clientId: bob, generation, packetId: 5 })).toBe(true)
    expect(await store().releasePlain({ clientId: bob, generation, packetId: 99 })).toBe(false)
    await store().settlePlain([{ clientId: bob, generation, message: numbers[1]! }])
    expect(await resume(store(), bob)).toMatchObject({ packetIds: [5, 8], waiting: true })
    expect((await take(store(), bob)).deliveries.map(({ state }) => state)).toEqual(['released', 'sent'])
  })

  test('a page ends at its bytes, always has one, and leaves out what has expired', async () => {
    const bob = newClient()
    await resume(store(), bob)
    const targets = [target(bob)]
    const old = Array.from({ length: 5 }, () => publication('t', 'old', { targets, expiresAt: 1 }))
    const large = ['a', 'b', 'c'].map((letter) => publication('t', letter.repeat(400), { targets }))
    await publish(store(), ...old, ...large, ...old)
    expect(await take(store(), bob, { bytesMax: 100 })).toMatchObject({
      texts: ['a'.repeat(400)],
      full: true,
    })
    const two = await take(store(), bob, { bytesMax: 900, entriesMax: 3 })
    expect(two).toMatchObject({ texts: ['a'.repeat(400), 'b'.repeat(400)], full: true })
    const all = await take(store(), bob, { entriesMax: 4 })
    expect(all).toMatchObject({ texts: ['a', 'b', 'c'].map((letter) => letter.repeat(400)), full: false })
  })

  test('a session takes no more than its bound, and one that is not there nothing', async () => {
    const [bob, nobody] = [newClient(), newClient()]
    await resume(store(), bob)
    const publications = [publication('t', '0', { targets: [target(bob)] })]
    await store().publishPlain({ publications, known: null, queuedMax: 1 })
    const result = await store().publishPlain({
      publications: [publication('t', '1', { targets: [target(bob), target(nobody)] })],
      known: null,
      queuedMax: 1,
    })
    expect(result).toMatchObject({
      outcomes: [
        {
          message: 0,
          refused: [
            { clientId: bob, reason: 'full' },
            { clientId: nobody, reason: 'unknown' },
          ],
        },
      ],
    })
  })

  test('a message is sent at once only if nothing waits before it, and by the newest connection', async () => {
    const bob = newClient()
    const { generation: older } = await resume(store(), bob)
    const { generation } = await resume(store(), bob)
    const sent = (packetId: number, by = generation) =>
      publication('t', `${packetId}`, { targets: [target(bob, { packetId, generation: by })] })
    const { outcomes } = await publish(store(), sent(1), sent(2, older), sent(3))
    expect(outcomes.map(({ unsent }) => unsent)).toEqual([undefined, [bob], [bob]])
    const { deliveries } = await take(store(), bob)
    expect(deliveries.map(({ packetId }) => packetId)).toEqual([1, null, null])
  })

  test('two senders to the same sessions in opposite orders finish, and both sessions have one order', async () => {
    const [ann, bob] = [newClient(), newClient()]
    for (const clientId of [ann, bob]) await resume(store(), clientId)
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => {
        const targets = [target(ann), target(bob)]
        return publish(
          store(),
          publication('t', `${i}`, { targets: i % 2 === 0 ? targets : targets.reverse() }),
        )
      }),
    )
    const [ofAnn, ofBob] = [await take(store(), ann), await take(store(), bob)]
    expect(ofAnn.texts).toHaveLength(40)
    expect(ofAnn.texts).toEqual(ofBob.texts)
    await Promise.all(
      [ofAnn, ofBob].flatMap(({ deliveries }, i) =>
        deliveries.map(({ message }) =>
          store().settlePlain([{ clientId: i === 0 ? ann : bob, generation: null, message }]),
        ),
      ),
    )
    expect((await take(store(), ann)).texts).toEqual([])
    expect(await resume(store(), bob)).toMatchObject({ waiting: false })
  })
}

function sessions(store: () => PlainStore): void {
  test('calls of a connection that is not the newest change nothing', async () => {
    const bob = newClient()
    const { generation: older } = await resume(store(), bob)
    await publish(
      store(),
      publication('t', 'x', { targets: [target(bob, { packetId: 1, generation: older })] }),
    )
    await publish(
      store(),
      publication('t', 'x', { receipt: { clientId: bob, generation: older, packetId: 4 } }),
    )
    const { generation } = await resume(store(), bob)
    const held = { clientId: bob, generation: older }

    expect(await store().subscribePlain({ ...held, subscriptions: [{ filter: 't', qos: 1 }] })).toBeNull()
    expect(await store().unsubscribePlain({ ...held, filters: ['t'] })).toBeNull()
    expect(await take(store(), bob, { generation: older, packetIds: [2] })).toMatchObject({
      isHeld: false,
      texts: [],
    })
    expect(await store().releasePlain({ ...held, packetId: 1 })).toBe(false)
    expect(await store().dropPlainReceipt({ ...held, packetId: 4 })).toBe(false)
    await store().settlePlain([{ ...held, message: (await take(store(), bob)).deliveries[0]!.message }])
    await store().endPlainSession(held)
    const late = publication('t', 'y', { receipt: { ...held, packetId: 5 }, targets: [target(bob)] })
    expect((await publish(store(), late)).outcomes).toMatchObject([{ taken: false }])

    expect(await resume(store(), bob)).toMatchObject({ receipts: [4], packetIds: [1] })
    expect((await take(store(), bob, { generation: null })).texts).toEqual(['x'])
    expect(generation).not.toBe(older)
  })

  test('a message whose targets were chosen before somebody subscribed is stale, until that is known', async () => {
    const bob = newClient()
    const known = await store().plainVersion()
    const { generation } = await resume(store(), bob)
    const subscriptions = [{ filter: `${bob}/#`, qos: 2 as const, rap: true, identifier: 3 }]
    await store().subscribePlain({ clientId: bob, generation, subscriptions })
    const publications = [publication(`${bob}/x`, 'x', { retained: 'keep' })]
    expect(await store().publishPlain({ publications, known, queuedMax: 1 })).toEqual({ stale: true })
    expect(await store().plainRetained({ topics: [`${bob}/x`] })).toEqual([])

    const { changes, version, tooOld } = await store().plainChanges({ since: known, rowsMax: 1000 })
    expect(tooOld).toBe(false)
    expect(changes.sessions).toContainEqual({
      clientId: bob,
      subscriptions: [expect.objectContaining(subscriptions[0]!)],
    })
    const taken = await store().publishPlain({ publications, known: version, queuedMax: 1 })
    expect(taken).toMatchObject({ stale: false, step: { from: version, to: version + 1 } })

    await store().endPlainSession({ clientId: bob, generation })
    const after = await store().plainChanges({ since: version, rowsMax: 1000 })
    expect(after.changes.sessions).toContainEqual({ clientId: bob, subscriptions: null })
    expect(after.changes.topics).toContainEqual({ topic: `${bob}/x`, isRetained: true })
  })

  test('changes come in pages, and a subscription that was there already is none', async () => {
    const clients = Array.from({ length: 5 }, newClient)
    const since = await store().plainVersion()
    for (const clientId of clients) {
      const subscriptions = [{ filter: 't', qos: 1 as const }]
      await store().subscribePlain({ clientId, generation: null, subscriptions })
    }
    const seen = new Set<string>()
    for (let from = since, isLast = false; !isLast; ) {
      const page = await store().plainChanges({ since: from, rowsMax: 2 })
      for (const { clientId } of page.changes.sessions) seen.add(clientId)
      from = page.version
      isLast = page.isLast
    }
    expect([...seen].sort()).toEqual(clients.toSorted())
  })

  test('subscriptions of any length are kept, replaced and paged with their sessions', async () => {
    const bob = newClient()
    const long = `${'f'.repeat(60_000)}/#`
    const subscribe = (qos: 0 | 1 | 2) =>
      store().subscribePlain({
        clientId: bob,
        generation: null,
        subscriptions: [{ filter: long, qos, nl: true }],
      })
    await subscribe(0)
    await subscribe(2)
    const sessions = await store().pagePlainSessions({ after: bob.slice(0, -1), entriesMax: 1 })
    expect(sessions).toMatchObject([{ clientId: bob, subscriptions: [{ filter: long, qos: 2, nl: true }] }])
    await store().unsubscribePlain({ clientId: bob, generation: null, filters: [long, 'never'] })
    const [after] = await store().pagePlainSessions({ after: bob.slice(0, -1), entriesMax: 1 })
    expect(after?.subscriptions).toEqual([])
  })
}

function retained(store: () => PlainStore): void {
  test('the last retained message of a topic stays, whatever its name', async () => {
    const root = randomUUID()
    const long = `${root}/${'ä'.repeat(30_000)}`
    const topics = [`${root}/\ufffd`, long, `${root}/'"\\`]
    for (const topic of topics) {
      const keep = (text: string) => publication(topic, text, { retained: 'keep' })
      await publish(store(), keep('old'), keep('new'))
    }
    const found = await store().plainRetained({ topics: [...topics, `${root}/none`] })
    expect(found.map(({ topic, payload }) => [topic, Buffer.from(payload as Uint8Array).toString()])).toEqual(
      topics.map((topic) => [topic, 'new']),
    )
    const paged: string[] = []
    for (let after: string | null = null; ; ) {
      const page: string[] = await store().pagePlainTopics({ after, entriesMax: 2 })
      paged.push(...page.filter((topic) => topic.startsWith(root)))
      if (page.length < 2) break
      after = page.at(-1)!
    }
    expect(paged.toSorted()).toEqual(topics.toSorted())
    await publish(store(), publication(long, '', { retained: 'clear' }))
    expect(await store().plainRetained({ topics: [long] })).toEqual([])
  })
}

function wills(store: () => PlainStore): void {
  test('a will is published by one of those who try, and not once it is replaced', async () => {
    const bob = newClient()
    const [first, second] = [randomUUID(), randomUUID()]
    await store().keepPlainWill({ clientId: bob, will: first, delayMs: 0, holder: bob })
    await store().keepPlainWill({ clientId: bob, will: second, delayMs: 0, holder: bob })
    const tries = await Promise.all(
      [first, second, second, second].map((will) =>
        publish(store(), publication(bob, will, { will: { clientId: bob, will } })),
      ),
    )
    expect(tries.map(({ outcomes }) => outcomes[0]!.taken).filter(Boolean)).toHaveLength(1)
    expect(tries[0]!.outcomes[0]!.taken).toBe(false)
    expect(await store().findPlainWill(bob)).toBeNull()
  })

  test('wills of a node that is gone are due after their delay, and at the end of the session', async () => {
    const [now, later] = [newClient(), newClient()]
    const node = randomUUID()
    await store().keepPlainWill({ clientId: now, will: now, delayMs: 0, holder: node })
    await store().keepPlainWill({ clientId: later, will: later, delayMs: 3_600_000, holder: node })
    const due = async () =>
      (await store().duePlainWills({ overdueMs: 0, entriesMax: 1000 })).map(({ clientId }) => clientId)
    expect(await store().plainWillHolders()).toContain(node)
    expect(await due()).not.toContain(now)
    await store().releasePlainWills({ holder: node })
    expect(await store().plainWillHolders()).not.toContain(node)
    expect(await due()).toContain(now)
    expect(await due()).not.toContain(later)
    await store().endPlainSession({ clientId: later, generation: null })
    expect(await due()).toContain(later)
  })
}
