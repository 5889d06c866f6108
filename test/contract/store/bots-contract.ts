import { describe, expect, test } from 'vitest'
import type { UserId } from '../../../protocol/ids.ts'
import type { Store } from '../../../services/store/contract.ts'
import { hashApiKey } from '../../../services/store/operations/operator/bots.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { operate } from './operator.ts'
import { createPeople, createUid, directLog, refusalOf, send } from './people.ts'

const holderOf = (store: Store, key: string) =>
  store.perform({ task: 'findApiKey', input: { hash: hashApiKey(key) } })

const stands = (store: Store, holder: NonNullable<Awaited<ReturnType<typeof holderOf>>>) =>
  store.checkLogin({ ...holder, issuedAt: holder.madeAt })

/** A bot with one device, as a caller. */
async function createBot(store: Store, open: boolean) {
  const uid = createUid('bot')
  await operate(store, 'addBot', { uid, name: 'A bot', open })
  return { uid: uid as UserId, device: null }
}

export function botsContract(engine: () => StoreEngine): void {
  describe('bots', () => {
    const shared = shareStore(engine)

    test('a key is the login of one device, until it is ended; its other keys stay', async () => {
      const store = shared()
      const { uid } = await createBot(store, false)
      const { id, key } = await operate(store, 'addApiKey', { uid, name: 'old' })
      const next = await operate(store, 'addApiKey', { uid, name: 'new', device: 'server-2' })
      expect(key).toMatch(/^wck_[\w-]{43}$/)
      const holder = (await holderOf(store, key))!
      expect(holder).toMatchObject({ uid, device: 'bot' })
      await stands(store, holder)
      expect(await operate(store, 'endApiKey', { id })).toEqual({ id, uid })
      expect(await holderOf(store, key)).toBeNull()
      expect(await refusalOf(stands(store, holder))).toBe('revoked')
      await stands(store, (await holderOf(store, next.key))!)
      const { keys } = await operate(store, 'apiKeys', { uid })
      expect(keys.map(({ name, device, endedAt }) => [name, device, endedAt === null])).toEqual([
        ['old', 'bot', false],
        ['new', 'server-2', true],
      ])
      expect(JSON.stringify(keys)).not.toContain(key.slice(4))
    })

    test('a refresh cannot take over the login of a key, or end it', async () => {
      const store = shared()
      const { uid } = await createBot(store, false)
      const { key } = await operate(store, 'addApiKey', { uid, name: 'k' })
      const holder = (await holderOf(store, key))!
      const refresh = store.refresh({
        sid: holder.sid,
        refreshHash: '',
        nextHash: 'x',
        nextExpiresAt: Date.now() + 1e6,
      })
      expect(await refusalOf(refresh)).toBe('bad_refresh')
      await stands(store, holder)
    })

    test('anybody may write to an open bot, and only friends to another one', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const open = await createBot(store, true)
      const shy = await createBot(store, false)
      await send(store, alice, directLog(alice, open), 'hello')
      expect(await refusalOf(send(store, alice, directLog(alice, shy), 'hello'))).toBe('not_friends')
      // An open bot writes by the same rules as anybody.
      expect(await refusalOf(send(store, open, directLog(alice, open), 'hello'))).toBe('not_friends')
      await operate(store, 'addBot', { uid: open.uid, name: 'A bot', open: false })
      expect(await refusalOf(send(store, alice, directLog(alice, open), 'more'))).toBe('not_friends')
    })

    test('a system account writes to everybody; it is answered only if it says so', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const uid = createUid('news')
      const news = { uid, device: null }
      await operate(store, 'addSystemAccount', { uid, name: 'News' })
      await send(store, news, directLog(alice, news), 'hello')
      expect(await refusalOf(send(store, alice, directLog(alice, news), 'what?'))).toBe('blocked')
      await operate(store, 'addSystemAccount', { uid, name: 'News', replies: true })
      await send(store, alice, directLog(alice, news), 'what?')
    })

    test('a removed bot has no key that stands and takes no messages; the uid of a person is no bot', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      const bot = await createBot(store, true)
      const { key } = await operate(store, 'addApiKey', { uid: bot.uid, name: 'k' })
      await operate(store, 'removeBot', { uid: bot.uid })
      expect(await holderOf(store, key)).toBeNull()
      expect(await refusalOf(send(store, alice, directLog(alice, bot), 'x'))).toBe('account_inactive')
      expect(await refusalOf(operate(store, 'addBot', { uid: alice.uid, name: 'A' }))).toBe('uid_taken')
      expect(await refusalOf(operate(store, 'addApiKey', { uid: alice.uid, name: 'A' }))).toBe('not_a_bot')
      expect(await refusalOf(operate(store, 'endApiKey', { id: 'none' }))).toBe('unknown_key')
    })
  })
}
