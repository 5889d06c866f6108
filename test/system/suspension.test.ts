/** An account that its operator suspends: out at once and everywhere, to others as before, and back as it was. */
import { describe, expect, test } from 'vitest'
import { admin, adminRaw } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import type { HttpRefusal } from '../harness/http.ts'
import { directLog, logIn, makeAccounts, newFriends, newPhone, newUid } from '../harness/people.ts'
import { RawClient, type Version } from '../harness/raw-client.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' } })
const HOUR = 60 * 60 * 1000
/** Enough for the suspension to come before. */
const PLANNED_MS = 5000
/** Return code of 3.1.1 and reason code of 5: not authorized, and banned. */
const REFUSED: Record<4 | 5, number> = { 4: 5, 5: 0x8a }

const as = (uid: string) => server.token(uid, null)

async function connackOf(version: 4 | 5, uid: string, id: string, password: string) {
  const client = await RawClient.open({ port: server.mqttPort, version: version as Version })
  const ack = await client.connect({ clientId: `${uid}/${id}`, username: uid, password, clean: false })
  return { code: ack.code, reason: ack.properties?.reasonString }
}

const refusalOf = async (
  call: Promise<unknown>,
): Promise<Pick<HttpRefusal, 'status' | 'code' | 'details'>> => {
  const refusal = await call.then(
    () => null,
    (error: HttpRefusal) => error,
  )
  const { status = 200, code = 'taken', details } = refusal ?? {}
  return { status, code, details }
}

describe('an account that is suspended', () => {
  test('is out at once on every node, and comes back to what waited for it', async () => {
    const phone = newPhone()
    const uid = newUid('alice')
    const { accessToken, refreshToken } = await logIn(server, { phone, uid, deviceId: 'phone' })
    const { alice: bob } = await newFriends(server)
    const session = { version: 5 as const, clean: false, token: accessToken }
    using device = await Device.connect(server, uid, 'phone', session)
    await device.client.subscribe(`u/${uid}/own/#`)
    // Of another issuer, and on another node where there are some.
    using tablet = await Device.connect(server, uid, 'tablet')
    using watcher = await Device.connect(server, bob, 'phone')
    const { seq } = (await device.send({ id: 'm1', to: bob, text: 'unwanted' })) as { seq: number }
    await watcher.untilText('unwanted')
    const at = Date.now() + PLANNED_MS
    await server.http('messages.schedule', { id: 'later', to: bob, text: 'from prison', at }, accessToken)
    await server.http(
      'messages.schedule',
      { id: 'after', to: bob, text: 'of a free one', at: at + 1 },
      as(bob),
    )

    const end = Date.now() + HOUR
    const suspension = await admin(server, 'suspend', { uid, reason: 'spam', until: end })
    expect(suspension).toEqual({ uid, reason: 'spam', at: expect.any(Number), until: end })
    await Promise.all([device, tablet].map(({ client }) => client.untilClosed()))
    const refused = { status: 403, code: 'account_suspended', details: { until: end } }
    expect(await refusalOf(server.http('contacts.list', {}, accessToken))).toEqual(refused)
    expect(await refusalOf(server.http('messages.send', { to: bob, text: 'x' }, as(uid)))).toEqual(refused)
    expect(await refusalOf(server.http('auth.refresh', { refreshToken }))).toEqual(refused)
    expect(await refusalOf(logIn(server, { phone, deviceId: 'new' }))).toEqual(refused)
    for (const version of [4, 5] as const) {
      for (const [id, token] of [
        ['phone', accessToken] as const,
        ['tablet', server.token(uid, 'tablet')] as const,
      ]) {
        const reason = version === 5 ? 'account_suspended' : undefined
        expect(await connackOf(version, uid, id, token)).toEqual({ code: REFUSED[version], reason })
      }
    }

    // To others it is as before: they see its profile and what it wrote, and write to it.
    const log = directLog(uid, bob)
    const { items } = await server.http<{ items: object[] }>('profile.get', { uids: [uid] }, as(bob))
    expect(items).toMatchObject([{ uid, state: 'active' }])
    const { entries } = await server.http<{ entries: object[] }>(
      'messages.get',
      { log, seqs: [seq] },
      as(bob),
    )
    expect(entries).toMatchObject([{ from: uid, body: { text: 'unwanted' } }])
    await server.http('messages.send', { to: uid, text: 'we miss you' }, as(bob))
    // What is due is sent in its order.
    await watcher.untilText('of a free one')

    expect(await admin(server, 'unsuspend', { uid })).toEqual({ uid, wasSuspended: true })
    using back = await Device.connect(server, uid, 'phone', { ...session, subscribe: false })
    expect(back.sessionPresent).toBe(true)
    await back.untilText('we miss you')
    await until(
      () =>
        back.inbox.some(({ type, body }) => type === 'schedule_failed' && body.code === 'account_suspended'),
      'word of what was planned',
    )
    expect(watcher.texts).not.toContain('from prison')
    using lamp = await Device.connect(server, uid, 'lamp', { subscribe: false })
    await lamp.client.publishAcked({ topic: `u/${uid}/own/lamp`, payload: 'on' })
    await until(() => back.client.publishes(`u/${uid}/own/lamp`).length === 1, 'the own space')
    expect(await refusalOf(server.http('auth.refresh', { refreshToken }))).toMatchObject({ code: 'taken' })
  })

  test('may be so by the decision about a report, for good, and is listed', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, alice, 'phone')
    const report = { uid: alice, reason: 'abuse' }
    const { report: n } = await server.http<{ report: number }>('reports.create', report, as(bob))
    const decided = await admin(server, 'decideReport', { n, decision: 'suspend', note: 'threats' })
    expect(decided).toMatchObject({ decision: 'suspend', note: 'threats' })
    await device.client.untilClosed()
    expect(await refusalOf(server.http('contacts.list', {}, as(alice)))).toEqual({
      ...{ status: 403, code: 'account_suspended', details: undefined },
    })
    const { suspensions } = await admin(server, 'suspensions', {})
    expect(suspensions).toContainEqual({ uid: alice, reason: 'threats', at: expect.any(Number) })
    const nobody = await adminRaw(server, 'suspend', { body: '{"uid":"nobody-here","reason":"r"}' })
    expect(nobody).toMatchObject({ status: 404, body: { error: { code: 'unknown_user' } } })
  })

  test('still has sent for it what its operator sends: messages for it, and broadcasts', async () => {
    const [alice, news] = [newUid('alice'), newUid('news')]
    const { alice: bob, bob: carol } = await newFriends(server)
    await makeAccounts(server, alice)
    await admin(server, 'addSystemAccount', { uid: news, name: 'News' })
    using watcher = await Device.connect(server, bob, 'phone')
    for (const uid of [alice, news, carol]) await admin(server, 'suspend', { uid, reason: 'spam' })
    const sent = await admin(server, 'sendAs', { uid: alice, to: bob, id: 'order-17', text: 'for alice' })
    expect(sent).toMatchObject({ log: directLog(alice, bob), seq: 1 })
    const id = newUid('b')
    const body = { text: 'for news' }
    await admin(server, 'broadcast', { id, from: news, body, filter: { uids: [bob, carol] } })
    const row = await until(async () => {
      const { broadcasts } = await admin(server, 'broadcasts', {})
      return broadcasts.find((one) => one.id === id && one.state === 'done')
    }, 'the end of the broadcast')
    // Who is suspended is written to like anybody.
    expect(row).toMatchObject({ sent: 2, skipped: 0 })
    await watcher.untilText('for news')
    expect(watcher.texts).toEqual(['for alice', 'for news'])
    const { reason } = await connackOf(5, alice, 'phone', server.token(alice, 'phone'))
    expect(reason).toBe('account_suspended')
  })

  test('that is a bot has its keys refused and its connections closed, until it goes on with them', async () => {
    const bot = newUid('bot')
    await admin(server, 'addBot', { uid: bot, name: 'Bot' })
    const { key } = await admin(server, 'addApiKey', { uid: bot, name: 'main' })
    const call = () => server.http('profile.get', {}, key)
    using device = await Device.connect(server, bot, 'bot', { token: key })
    await call()
    const end = Date.now() + HOUR
    await admin(server, 'suspend', { uid: bot, reason: 'spam', until: end })
    await device.client.untilClosed()
    expect(await refusalOf(call())).toEqual({
      ...{ status: 403, code: 'account_suspended', details: { until: end } },
    })
    for (const version of [4, 5] as const) {
      const reason = version === 5 ? 'account_suspended' : undefined
      expect(await connackOf(version, bot, 'bot', key)).toEqual({ code: REFUSED[version], reason })
    }
    await admin(server, 'unsuspend', { uid: bot })
    await call()
    using _back = await Device.connect(server, bot, 'bot', { token: key })
  })
})
