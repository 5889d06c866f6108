import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { AdminParams } from '../../../protocol/admin/operations.ts'
import type { Store } from '../../../services/store/contract.ts'
import type { Delivery, DeliveryOutcome } from '../../../services/store/operations/operator/webhooks.ts'
import { until } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import { createFriends, createGroup, createPeople, directLog, refusalOf, send } from './people.ts'
import { openRawTables } from './raw-tables.ts'

const URL = 'http://127.0.0.1:9/events'
const LEASE = { leaseMs: 60_000, isAlone: false }
const LIMITS = { eventsMax: 100, charsMax: 100_000 }

/** Of a webhook that is removed, and how many one transaction deletes. */
const LETTERS = 9000
const LETTERS_EACH = 2000

/** A webhook of one test, which ends with it. */
async function addWebhook(
  store: Store,
  events: string[],
): Promise<AsyncDisposable & { id: string; acked: number }> {
  const id = `w${randomBytes(4).toString('hex')}`
  const { acked } = await operate(store, 'addWebhook', { id, url: URL, events })
  return {
    id,
    acked,
    async [Symbol.asyncDispose]() {
      await operate(store, 'removeWebhook', { id })
    },
  }
}

const lease = (store: Store, node: string, isAlone = false) =>
  store.perform({ task: 'leaseWebhooks', input: { node, ...LEASE, isAlone } })

const take = (store: Store, id: string, node: string, limits: Partial<typeof LIMITS> = {}) =>
  store.perform({ task: 'takeDelivery', input: { id, node, leaseMs: 60_000, ...LIMITS, ...limits } })

function settle(store: Store, id: string, node: string, delivery: Delivery, outcome: DeliveryOutcome) {
  const { events, ...place } = delivery
  const seqs = events.map(({ seq }) => seq)
  const input = { id, node, leaseMs: 60_000, delivery: place, seqs, outcome }
  return store.perform({ task: 'settleDelivery', input })
}

/** Everything that waits for a webhook, delivered by one node. */
async function deliverAll(store: Store, id: string, node = 'node'): Promise<{ type: string; data: Data }[]> {
  const events: { type: string; data: Data }[] = []
  await lease(store, node)
  for (;;) {
    const delivery = await take(store, id, node)
    if (delivery === null) break
    for (const { type, body } of delivery.events) events.push({ type, data: JSON.parse(body) as Data })
    await settle(store, id, node, delivery, { kind: 'taken' })
  }
  await store.perform({ task: 'releaseWebhooks', input: { node, ids: [id] } })
  return events
}

type Data = Record<string, unknown>

async function rowOf(store: Store, id: string) {
  const { webhooks } = await operate(store, 'webhooks', {})
  return webhooks.find((row) => row.id === id)
}

export function webhooksContract(engine: () => StoreEngine): void {
  describe('events for webhooks', () => {
    const shared = shareStore(engine)

    test('a webhook is told of messages as they stand in the log, and of nothing before it was there', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'before')
      await using webhook = await addWebhook(store, ['message.stored'])
      await send(store, alice, log, 'a "quoted" \u4f60\u597d \0', 'id "1"')
      await store.run({ name: 'contacts.remove', caller: alice, params: { uid: bob.uid } })
      expect(await deliverAll(store, webhook.id)).toEqual([
        {
          type: 'message.stored',
          data: {
            log,
            epoch: 'k1',
            seq: 2,
            at: expect.any(Number),
            kind: 'message',
            from: alice.uid,
            device: 'phone',
            id: 'id "1"',
            type: 'text',
            body: { text: 'a "quoted" \u4f60\u597d \0' },
          },
        },
      ])
      expect(await deliverAll(store, webhook.id)).toEqual([])
    })

    test('groups, contacts and accounts are told by their families, to those who asked for them', async () => {
      const store = shared()
      await using all = await addWebhook(store, ['*'])
      await using accounts = await addWebhook(store, ['account.*'])
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const group = await createGroup(store, alice, bob)
      const told = (await deliverAll(store, all.id)).map(({ type }) => type)
      expect(new Set(told)).toEqual(
        new Set(['account.created', 'contact.requested', 'contact.asked', 'contact.friend', 'group.created']),
      )
      expect(told.filter((type) => type === 'contact.friend')).toHaveLength(2)
      const created = await deliverAll(store, accounts.id)
      expect(created.map(({ data }) => data.uid)).toEqual([alice.uid, bob.uid])
      expect(group).toMatch(/^g:/)
    })

    test('the suspension of an account is told, and its end by the operator or by itself, once each', async () => {
      const store = shared()
      await using webhook = await addWebhook(store, ['account.suspended', 'account.restored'])
      const [{ uid }, { uid: other }] = await createPeople(store, 'alice', 'bob')
      const end = Date.now() + 60 * 60 * 1000
      await operate(store, 'suspend', { uid, reason: 'spam' })
      // Another reason changes nothing for others; another end does.
      await operate(store, 'suspend', { uid, reason: 'spam, twice' })
      await operate(store, 'suspend', { uid, reason: 'spam, twice', until: end })
      await operate(store, 'unsuspend', { uid })
      await operate(store, 'unsuspend', { uid })
      expect(await refusalOf(operate(store, 'suspend', { uid, reason: 'r', until: 1 }))).toBe('bad_request')
      const moment = Date.now() + 200
      await operate(store, 'suspend', { uid: other, reason: 'a moment', until: moment })
      const endAll = () => store.perform({ task: 'endSuspensions', input: {} })
      await until(async () => {
        const isOver = Date.now() > moment
        return (await Promise.all([endAll(), endAll()])).every((ended) => ended === 0) && isOver
      }, 'the end')
      expect(await deliverAll(store, webhook.id)).toEqual([
        { type: 'account.suspended', data: { uid, until: null } },
        { type: 'account.suspended', data: { uid, until: end } },
        { type: 'account.restored', data: { uid } },
        { type: 'account.suspended', data: { uid: other, until: moment } },
        { type: 'account.restored', data: { uid: other } },
      ])
      const { suspensions } = await operate(store, 'suspensions', {})
      expect(suspensions.filter((row) => row.uid === uid || row.uid === other)).toEqual([])
    })

    test('without a webhook that wants it, nothing is written down', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const { head } = await operate(store, 'webhooks', {})
      await send(store, alice, directLog(alice, bob), 'untold')
      expect((await operate(store, 'webhooks', {})).head).toBe(head)
      await using webhook = await addWebhook(store, ['account.created'])
      await send(store, alice, directLog(alice, bob), 'untold, too')
      expect((await operate(store, 'webhooks', {})).head).toBe(head)
      expect(await rowOf(store, webhook.id)).toMatchObject({ lag: 0, acked: head })
    })

    test('events of many logs, written at once while they are read, come once each and in the order of each log', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const logs = [
        directLog(alice, bob),
        directLog(alice, carol),
        await createGroup(store, alice, bob, carol),
      ]
      await using webhook = await addWebhook(store, ['message.stored'])
      const got: { log: string; seq: number }[] = []
      let isOver = false
      const reading = (async () => {
        for (let last = false; !last; ) {
          last = isOver
          for (const { data } of await deliverAll(store, webhook.id)) got.push(data as (typeof got)[number])
        }
      })()
      for (let round = 0; round < 10; round++) {
        await Promise.all(logs.flatMap((log) => [send(store, alice, log, 'x'), send(store, alice, log, 'y')]))
      }
      isOver = true
      await reading
      for (const log of logs) {
        const seqs = got.filter((event) => event.log === log).map(({ seq }) => seq)
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
        expect(new Set(seqs).size).toBe(seqs.length)
      }
      expect(got).toHaveLength(60)
    })

    test('old events are deleted from their beginning, and what is left is still delivered', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      await using webhook = await addWebhook(store, ['message.stored'])
      await send(store, alice, directLog(alice, bob), 'old')
      await deliverAll(store, webhook.id)
      while (await store.perform({ task: 'forgetEvents', input: { keptMs: -1000 } }));
      await send(store, alice, directLog(alice, bob), 'new')
      await operate(store, 'replayWebhook', { id: webhook.id, from: 1 })
      expect((await deliverAll(store, webhook.id)).map(({ data }) => data.seq)).toEqual([2])
    })
  })

  describe('webhooks', () => {
    const shared = shareStore(engine)

    /** A webhook for which so many messages wait, in the one log of two friends. */
    async function createWaiting(store: Store, messages: number) {
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const webhook = await addWebhook(store, ['message.stored'])
      for (let i = 0; i < messages; i++) await send(store, alice, directLog(alice, bob), `${i}`)
      return webhook
    }

    test('one node has a webhook at a time, and another one takes it over when it is given back or left', async () => {
      const store = shared()
      await using webhook = await createWaiting(store, 1)
      expect(await lease(store, 'a')).toContain(webhook.id)
      expect(await lease(store, 'b')).not.toContain(webhook.id)
      const delivery = (await take(store, webhook.id, 'a'))!
      expect(await take(store, webhook.id, 'b')).toBeNull()
      // A store of one process: what its last life held is free.
      expect(await lease(store, 'b', true)).toContain(webhook.id)
      await settle(store, webhook.id, 'a', delivery, { kind: 'taken' })
      expect(await rowOf(store, webhook.id)).toMatchObject({ lag: 1 })
      expect(await take(store, webhook.id, 'b')).toMatchObject({ events: delivery.events })
    })

    test('a batch is bounded by number and by size, and the next one begins after it', async () => {
      const store = shared()
      await using webhook = await createWaiting(store, 5)
      await lease(store, 'a')
      const textsOf = (delivery: Delivery | null) =>
        delivery?.events.map(({ body }) => (JSON.parse(body) as { body: { text: string } }).body.text)
      const first = await take(store, webhook.id, 'a', { eventsMax: 2 })
      expect(textsOf(first)).toEqual(['0', '1'])
      await settle(store, webhook.id, 'a', first!, { kind: 'taken' })
      const second = await take(store, webhook.id, 'a', { charsMax: 1 })
      expect(textsOf(second)).toEqual(['2'])
      await settle(store, webhook.id, 'a', second!, { kind: 'taken' })
      expect(textsOf(await take(store, webhook.id, 'a'))).toEqual(['3', '4'])
    })

    test('a failed batch waits for its time and is the same again; given up, it becomes dead letters that can be tried once more', async () => {
      const store = shared()
      await using webhook = await createWaiting(store, 2)
      await lease(store, 'a')
      const delivery = (await take(store, webhook.id, 'a'))!
      await settle(store, webhook.id, 'a', delivery, {
        kind: 'failed',
        error: 'it answered 500',
        retryInMs: 60_000,
      })
      expect(await take(store, webhook.id, 'a')).toBeNull()
      expect(await rowOf(store, webhook.id)).toMatchObject({ attempts: 1, lastError: 'it answered 500' })
      await operate(store, 'resumeWebhook', { id: webhook.id })
      const again = (await take(store, webhook.id, 'a'))!
      expect(again.events).toEqual(delivery.events)
      await settle(store, webhook.id, 'a', again, { kind: 'givenUp', error: 'it answered 501', pause: false })
      expect(await take(store, webhook.id, 'a')).toBeNull()
      expect(await rowOf(store, webhook.id)).toMatchObject({ lag: 0, deadLetters: 2, attempts: 0 })
      const page = await operate(store, 'deadLetters', { id: webhook.id, limit: 1 })
      expect(page.items).toMatchObject([
        { seq: delivery.events[0]!.seq, attempts: 1, error: 'it answered 501' },
      ])
      expect(
        (await operate(store, 'deadLetters', { id: webhook.id, cursor: page.cursor! })).items,
      ).toHaveLength(1)
      expect(await operate(store, 'retryDeadLetters', { id: webhook.id })).toEqual({ letters: 2 })
      const retried = (await take(store, webhook.id, 'a'))!
      expect(retried).toMatchObject({ isRetry: true, events: delivery.events })
      await settle(store, webhook.id, 'a', retried, { kind: 'givenUp', error: 'no', pause: false })
      expect((await operate(store, 'deadLetters', { id: webhook.id })).items[0]).toMatchObject({
        attempts: 2,
      })
      await operate(store, 'retryDeadLetters', { id: webhook.id })
      await settle(store, webhook.id, 'a', (await take(store, webhook.id, 'a'))!, { kind: 'taken' })
      expect(await rowOf(store, webhook.id)).toMatchObject({ deadLetters: 0 })
    })

    test('a paused webhook gets nothing until it is resumed, and then what waited', async () => {
      const store = shared()
      await using webhook = await createWaiting(store, 1)
      await operate(store, 'pauseWebhook', { id: webhook.id })
      expect(await deliverAll(store, webhook.id)).toEqual([])
      await operate(store, 'resumeWebhook', { id: webhook.id })
      expect(await deliverAll(store, webhook.id)).toHaveLength(1)
    })

    test('a replay that comes while a batch is under way is not undone by its end', async () => {
      const store = shared()
      await using webhook = await createWaiting(store, 3)
      await deliverAll(store, webhook.id)
      await operate(store, 'replayWebhook', { id: webhook.id, from: webhook.acked + 2 })
      await lease(store, 'a')
      const delivery = (await take(store, webhook.id, 'a'))!
      expect(delivery.events).toHaveLength(2)
      await operate(store, 'replayWebhook', { id: webhook.id, from: webhook.acked + 1 })
      await settle(store, webhook.id, 'a', delivery, { kind: 'taken' })
      expect((await take(store, webhook.id, 'a'))!.events).toHaveLength(3)
    })

    test('one that is removed is over at once, however many dead letters it has: they go in steps, and never to the next of its id', async () => {
      const store = shared()
      const id = `w${randomBytes(4).toString('hex')}`
      const add = () => operate(store, 'addWebhook', { id, url: URL, events: ['media.ready'] })
      await add()
      await using tables = await openRawTables(engine())
      const [{ n } = {}] = await tables.query(`select n from webhook where id = '${id}'`)
      await tables.query(
        `with recursive one (seq) as (select 1 union all select seq + 1 from one where seq < ${LETTERS})
         insert into dead_letter (webhook, seq, attempts, error, at, event_at, type, body)
         select ${Number(n)}, seq, 1, '', ${Date.now()}, 0, 'media.ready', '{}' from one`,
      )
      expect(await rowOf(store, id)).toMatchObject({ deadLetters: LETTERS })
      const letters = async () => {
        const [row] = await tables.query(`select count(*) as c from dead_letter where webhook = ${Number(n)}`)
        return Number(row!.c)
      }
      await operate(store, 'removeWebhook', { id })
      const left = [await letters()]
      await add()
      expect(await rowOf(store, id)).toMatchObject({ deadLetters: 0 })
      expect(await operate(store, 'retryDeadLetters', { id })).toEqual({ letters: 0 })
      expect(await lease(store, 'a')).not.toContain(id)
      const forget = () => store.perform({ task: 'forgetEvents', input: { keptMs: 60 * 60 * 1000 } })
      for (let together = [true, true]; together.includes(true); left.push(await letters())) {
        together = await Promise.all([forget(), forget()])
      }
      const steps = left.map((count, i) => (left[i - 1] ?? LETTERS) - count)
      expect(steps[0]).toBeGreaterThan(0)
      expect(Math.max(...steps)).toBeLessThanOrEqual(2 * LETTERS_EACH)
      expect(left[0]).toBeGreaterThanOrEqual(LETTERS - LETTERS_EACH)
      expect(left.at(-1)).toBe(0)
      expect(await tables.query('select n from webhook where id is null')).toEqual([])
      expect(await rowOf(store, id)).toMatchObject({ id, deadLetters: 0, lag: 0 })
      await operate(store, 'removeWebhook', { id })
    })

    test('ids are used once and unknown ones are refused; urls, secrets and types of events are checked', async () => {
      const store = shared()
      await using webhook = await addWebhook(store, ['message.stored'])
      const again = { id: webhook.id, url: URL, events: ['*'] }
      expect(await refusalOf(operate(store, 'addWebhook', again))).toBe('id_conflict')
      for (const name of ['updateWebhook', 'removeWebhook', 'pauseWebhook', 'deadLetters'] as const) {
        expect(await refusalOf(operate(store, name, { id: 'nobody' }))).toBe('unknown_webhook')
      }
      const good: AdminParams<'addWebhook'> = { id: 'w', url: URL, events: ['*'] }
      for (const bad of [
        { ...good, url: 'ftp://x' },
        { ...good, events: [] },
        { ...good, events: ['weather.fine'] },
        { ...good, secret: 'short' },
      ]) {
        expect(await refusalOf((async () => operate(store, 'addWebhook', bad))())).toBe('bad_request')
      }
    })
  })
}
