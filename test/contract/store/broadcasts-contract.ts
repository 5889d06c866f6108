import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { UserId } from '../../../protocol/ids.ts'
import { BroadcastWorker } from '../../../services/background/broadcast-worker.ts'
import { WorkWatch } from '../../../services/background/work-watch.ts'
import { MessageSender } from '../../../services/messages/message-sender.ts'
import { createIntake } from '../../../services/messages/ports.ts'
import type { Store } from '../../../services/store/contract.ts'
import { until } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import { conversationOf, createPeople, createUid, directLog, refusalOf } from './people.ts'

const HOLDER = { leaseMs: 60_000 }

async function createSystem(store: Store): Promise<string> {
  const uid = createUid('news')
  await operate(store, 'addSystemAccount', { uid, name: 'News' })
  return uid
}

const lease = (store: Store, node: string) =>
  store.perform({ task: 'leaseBroadcasts', input: { node, isAlone: false, ...HOLDER } })

const page = (store: Store, id: string, node: string, limit: number) =>
  store.perform({ task: 'pageBroadcast', input: { id, node, limit, ...HOLDER } })

const advance = (store: Store, id: string, node: string, through: number, sent: number) =>
  store.perform({ task: 'advanceBroadcast', input: { id, node, through, sent, skipped: 0, ...HOLDER } })

const stateOf = async (store: Store, id: string) =>
  (await operate(store, 'broadcasts', {})).broadcasts.find((row) => row.id === id)

export function broadcastsContract(engine: () => StoreEngine): void {
  describe('broadcasts', () => {
    const shared = shareStore(engine)

    test('pages go over everybody of the filter once, and the last one ends it', async () => {
      const store = shared()
      const from = await createSystem(store)
      const people = await createPeople(store, 'a', 'b', 'c', 'd')
      const uids = people.map(({ uid }) => uid)
      const id = createUid('b').replace('.', '-')
      await operate(store, 'broadcast', { id, from, body: { text: 'hi' }, filter: { uids } })
      await createPeople(store, 'later')
      expect(await page(store, id, 'a', 3)).toBeNull()
      expect(await lease(store, 'a')).toContain(id)
      expect(await lease(store, 'b')).not.toContain(id)
      const first = (await page(store, id, 'a', 3))!
      expect(first).toMatchObject({ from, type: 'text', bodyJson: '{"text":"hi"}' })
      // Not advanced: the same page again.
      expect(await page(store, id, 'a', 3)).toEqual(first)
      await advance(store, id, 'a', first.through, first.to.length)
      const got = first.to.map(({ uid }) => uid)
      for (let next = await page(store, id, 'a', 3); next !== null; next = await page(store, id, 'a', 3)) {
        got.push(...next.to.map(({ uid }) => uid))
        await advance(store, id, 'a', next.through, next.to.length)
      }
      expect(got).toEqual(uids)
      expect(await stateOf(store, id)).toMatchObject({ state: 'done', sent: 4, endedAt: expect.any(Number) })
    })

    test('are sends of the account: files are seen, the called are told, and the content ends at its time', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const news = { uid: (await createSystem(store)) as UserId, device: null }
      const file = { name: 'a.png', type: 'image/png', bytes: 10, sha256: '0'.repeat(64) }
      const { id: media } = await store.run({ name: 'media.create', caller: news, params: file })
      const id = createUid('b').replace('.', '-')
      const body = { media, mentions: [bob.uid], expire: { afterMs: 1000, afterReadMs: 5000 } }
      const input = { id, from: news.uid, type: 'image', body, filter: { uids: [alice.uid, bob.uid] } }
      // A file that is not complete, or of somebody else, and an answer to nothing.
      expect(await refusalOf(operate(store, 'broadcast', input))).toBe('unknown_media')
      const found = { type: 'image/png', width: 4, height: 3, thumbnail: false }
      await store.perform({ task: 'finishUpload', input: { uid: news.uid, id: media, ...found } })
      const answer = { ...input, body: { ...body, replyTo: { seq: 1 } } }
      expect(await refusalOf(operate(store, 'broadcast', answer))).toBe('bad_request')
      const stranger = { ...input, from: await createSystem(store) }
      expect(await refusalOf(operate(store, 'broadcast', stranger))).toBe('unknown_media')

      await operate(store, 'broadcast', input)
      const log = pino({ level: 'silent' })
      await using watch = new WorkWatch(store, log)
      await using _ = new BroadcastWorker({
        store,
        watch,
        sender: new MessageSender(store, createIntake()),
        settings: { node: 'a', isAlone: true, perSecondMax: 1000 },
        log,
      })
      await until(async () => (await stateOf(store, id))?.state === 'done', 'the broadcast to be done')
      for (const [person, mentions] of [[alice, 0] as const, [bob, 1] as const]) {
        const log = directLog(person, news)
        expect(await conversationOf(store, person, log)).toMatchObject({
          unread: 1,
          mentions,
          last: { body },
        })
        expect(await store.run({ name: 'media.get', caller: person, params: { id: media } })).toMatchObject({
          id: media,
        })
      }
      const isOver = async () => {
        await store.perform({ task: 'expireMessages', input: { limit: 50 } })
        const states = [alice, bob].map(
          async (person) => (await conversationOf(store, person, directLog(person, news)))?.last,
        )
        return (await Promise.all(states)).every((last) => last?.state?.recalled?.reason === 'expired')
      }
      await until(isOver, 'the messages to expire')
    })

    test('one id is one broadcast, stopped at once; only system accounts send them', async () => {
      const store = shared()
      const from = await createSystem(store)
      const [alice] = await createPeople(store, 'alice')
      const id = createUid('b').replace('.', '-')
      const input = { id, from, body: { text: 'hi' }, filter: { uids: [alice.uid] } }
      await operate(store, 'broadcast', input)
      expect(await operate(store, 'broadcast', input)).toMatchObject({ id, state: 'running' })
      const other = { ...input, body: { text: 'ho' } }
      expect(await refusalOf(operate(store, 'broadcast', other))).toBe('id_conflict')
      await lease(store, 'a')
      expect(await operate(store, 'stopBroadcast', { id })).toMatchObject({ state: 'stopped' })
      expect(await page(store, id, 'a', 3)).toBeNull()
      expect(await refusalOf(operate(store, 'stopBroadcast', { id: 'none' }))).toBe('unknown_broadcast')
      const byPerson = { ...input, id: 'x', from: alice.uid }
      expect(await refusalOf(operate(store, 'broadcast', byPerson))).toBe('not_a_system_account')
      const malformed = { ...input, id: 'y', body: { text: 1 } }
      expect(await refusalOf(operate(store, 'broadcast', malformed))).toBe('bad_request')
    })
  })
}
