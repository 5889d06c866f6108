import { describe, expect, test } from 'vitest'
import type { WochatError } from '../../../protocol/errors.ts'
import { buildClientId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { until } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { recordFeed } from './feed-recorder.ts'
import { operate } from './operator.ts'
import { createPeople, directLog, refusalOf, send } from './people.ts'
import { logIn } from './people-contract.ts'

const HOUR = 60 * 60 * 1000

const check = (store: Store, { uid, device }: Caller, sid: string | null) =>
  store.checkLogin({ uid, device, sid, issuedAt: Date.now() + 1000 })

const open = (store: Store, { uid, device }: Caller, sid: string | null, cleanStart = false) =>
  store.openSession({
    ...{ clientId: buildClientId(uid, device!), uid, device: device!, sid, issuedAt: Date.now() + 1000 },
    ...{ cleanStart, persistent: true, devicesMax: 5 },
  })

const refresh = (store: Store, sid: string, refreshHash: string, nextHash: string) =>
  store.refresh({ sid, refreshHash, nextHash, nextExpiresAt: Date.now() + HOUR })

const untilOf = async (refused: Promise<unknown>): Promise<unknown> => {
  const error = await refused.then(
    () => null,
    (thrown: WochatError) => thrown,
  )
  expect(error?.code).toBe('account_suspended')
  return error?.details
}

export function suspensionsContract(engine: () => StoreEngine): void {
  describe('a suspended account', () => {
    const shared = shareStore(engine, { contactsRequired: false })

    test('is refused wherever a login is looked at, and goes on as it was when that ends', async () => {
      const store = shared()
      const { caller: alice, phone, sid } = await logIn(store)
      const [bob] = await createPeople(store, 'bob')
      const log = directLog(alice, bob)
      await open(store, alice, sid, true)
      const feed = recordFeed(store)
      const row = await operate(store, 'suspend', { uid: alice.uid, reason: 'spam' })
      expect(row).toEqual({ uid: alice.uid, reason: 'spam', at: expect.any(Number) })
      expect(feed.said).toEqual([`ended ${alice.uid.split('.')[0]}`])
      const attempts: (() => Promise<unknown>)[] = [
        () => check(store, alice, sid),
        () => check(store, alice, null),
        () => check(store, { ...alice, device: null }, null),
        () => open(store, alice, sid),
        () => open(store, alice, null, true),
        () => refresh(store, sid, 'refresh', 'next'),
        () => logIn(store, phone),
        () => store.perform({ task: 'assertMaySend', input: { uid: alice.uid } }),
      ]
      for (const attempt of attempts) expect(await untilOf(attempt())).toBeUndefined()
      // To others the account is as before.
      await send(store, bob, log, 'are you there?')
      const { items } = await store.run({ name: 'profile.get', caller: bob, params: { uids: [alice.uid] } })
      expect(items).toMatchObject([{ uid: alice.uid, state: 'active' }])

      const end = Date.now() + HOUR
      await operate(store, 'suspend', { uid: alice.uid, reason: 'spam', until: end })
      for (const attempt of attempts) expect(await untilOf(attempt())).toEqual({ until: end })

      expect(await operate(store, 'unsuspend', { uid: alice.uid })).toEqual({
        uid: alice.uid,
        wasSuspended: true,
      })
      expect(await operate(store, 'unsuspend', { uid: alice.uid })).toMatchObject({ wasSuspended: false })
      expect(await open(store, alice, sid)).toMatchObject({ present: true })
      expect(await refresh(store, sid, 'refresh', 'next')).toEqual({ ...alice })
      await check(store, alice, null)
      await store.perform({ task: 'assertMaySend', input: { uid: alice.uid } })
      // A login that was ended is that, whether its account is suspended or not.
      await operate(store, 'suspend', { uid: alice.uid, reason: 'spam' })
      await store.endLogin({ uid: alice.uid, sid })
      expect(await refusalOf(check(store, alice, sid))).toBe('revoked')
    })

    test('is free by itself at the end that was named', async () => {
      const store = shared()
      const { caller: alice, phone, sid } = await logIn(store)
      const end = Date.now() + 3000
      await operate(store, 'suspend', { uid: alice.uid, reason: 'a moment', until: end })
      expect(await untilOf(check(store, alice, sid))).toEqual({ until: end })
      await until(
        () =>
          check(store, alice, sid).then(
            () => true,
            () => false,
          ),
        'the end',
      )
      await check(store, alice, null)
      await open(store, alice, sid)
      await logIn(store, phone)
      const { suspensions } = await operate(store, 'suspensions', {})
      expect(suspensions.map(({ uid }) => uid)).not.toContain(alice.uid)
      expect(await operate(store, 'unsuspend', { uid: alice.uid })).toMatchObject({ wasSuspended: false })
    })

    test('sends nothing that it had planned', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      await store.perform({
        task: 'scheduleSend',
        input: {
          ...{ caller: alice, id: 'later', log: directLog(alice, bob), type: 'text' },
          ...{ bodyJson: '{"text":"later"}', withheld: false, at: Date.now() + 1000 },
        },
      })
      await operate(store, 'suspend', { uid: alice.uid, reason: 'spam' })
      const due = await until(async () => {
        const taken = await store.perform({ task: 'takeDueSends', input: { limit: 10 } })
        return taken.find(({ uid }) => uid === alice.uid)
      }, 'the planned message')
      expect(due.refusal).toBe('account_suspended')
    })

    test('is listed, in pages, with why and how long', async () => {
      const store = shared()
      const people = await createPeople(store, 'a', 'b', 'c')
      const end = Date.now() + HOUR
      for (const { uid } of people) await operate(store, 'suspend', { uid, reason: `of ${uid}`, until: end })
      const listed: unknown[] = []
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page: { suspensions: unknown[]; after?: number } = await operate(store, 'suspensions', {
          after,
          limit: 1,
        })
        expect(page.suspensions.length).toBeLessThanOrEqual(1)
        listed.push(...page.suspensions)
        after = page.after
      }
      for (const { uid } of people) {
        expect(listed).toContainEqual({ uid, reason: `of ${uid}`, at: expect.any(Number), until: end })
      }
    })

    test('comes of a decision about a report, once, and never of one that makes no sense', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      const params = { uid: bob.uid, reason: 'spam' as never }
      const { report: n } = await store.run({ name: 'reports.create', caller: alice, params })
      const late = { n, until: Date.now() + HOUR }
      expect(await refusalOf(operate(store, 'decideReport', { ...late, decision: 'dismiss' }))).toBe(
        'bad_request',
      )
      expect(await refusalOf(operate(store, 'decideReport', { n, decision: 'suspend', until: 1 }))).toBe(
        'bad_request',
      )
      await check(store, bob, null)
      const decided = await operate(store, 'decideReport', { ...late, decision: 'suspend' })
      expect(decided).toMatchObject({ n, uid: bob.uid, decision: 'suspend' })
      expect(await untilOf(check(store, bob, null))).toEqual({ until: late.until })
      expect((await operate(store, 'suspensions', {})).suspensions).toContainEqual(
        expect.objectContaining({ uid: bob.uid, reason: 'spam' }),
      )
      expect(await refusalOf(operate(store, 'decideReport', { n, decision: 'suspend' }))).toBe(
        'report_decided',
      )
      const nobody = { uid: 'nobody-at-all', reason: 'r' }
      expect(await refusalOf(operate(store, 'suspend', nobody))).toBe('unknown_user')
      expect(await refusalOf(operate(store, 'unsuspend', { uid: nobody.uid }))).toBe('unknown_user')
      expect(await refusalOf(operate(store, 'suspend', { uid: alice.uid, reason: 'r', until: 1 }))).toBe(
        'bad_request',
      )
      await check(store, alice, null)
    })
  })
}
