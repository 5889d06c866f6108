/** Messages of every kind, over MQTT and HTTP: their types, forwarding, planning, and those that do not last. */
import { describe, expect, test } from 'vitest'
import { Device, type InboxEntry } from '../harness/device.ts'
import { directLog, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

const call = <Result = Record<string, unknown>>(uid: string, operation: string, params: object) =>
  server.http<Result>(operation, params, server.token(uid, null))

const pageOf = async (uid: string, log: string) =>
  (await call<{ entries: InboxEntry[] }>(uid, 'messages.page', { log, limit: 200 })).entries

describe('the type of a message', () => {
  test('decides what its body holds; a wrong field is named, and nobody gets anything', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    using other = await Device.connect(server, bob, 'phone')
    const wrong = await phone.send({ id: '1', to: bob, type: 'location', body: { lat: 91, lng: 0 } })
    expect(wrong).toMatchObject({ kind: 'refused', code: 'bad_request' })
    expect(String(wrong.message)).toMatch(/^body\.lat: /)
    const unknown = await phone.send({ id: '2', to: bob, type: 'image', body: { media: 'none' } })
    expect(unknown).toMatchObject({ kind: 'refused', code: 'unknown_media' })
    const body = { lat: 48.1, lng: 11.6, label: 'here' }
    await phone.send({ id: '3', to: bob, type: 'location', body })
    const [first] = await other.untilMessages(1)
    expect(first).toMatchObject({ seq: 1, type: 'location', body })
  })
})

describe('forwarding', () => {
  test('copies messages with a word on where they come from, one by one or as one', async () => {
    const { alice, bob } = await newFriends(server)
    const log = directLog(alice, bob)
    await call(bob, 'messages.send', { to: alice, text: 'one' })
    await call(bob, 'messages.send', { to: alice, text: 'two' })
    const group = await makeGroup(server, alice, [bob])
    const params = { log, seqs: [2, 1], to: [group, newUid('nobody')], requestId: 'f1' }
    const once = await call<{ items: object[] }>(alice, 'messages.forward', params)
    expect(once.items).toMatchObject([
      { to: group, seqs: [2, 3] },
      { seqs: [], refused: 'unknown_user' },
    ])
    expect(await call(alice, 'messages.forward', params)).toEqual(once)
    await call(alice, 'messages.forward', {
      ...params,
      to: [group],
      merged: true,
      title: 'Chat',
      requestId: 'f2',
    })
    const messages = (await pageOf(bob, group)).filter(({ kind }) => kind === 'message')
    expect(messages).toMatchObject([
      { type: 'text', from: alice, body: { text: 'one', forwarded: [{ from: bob }] } },
      { type: 'text', from: alice, body: { text: 'two', forwarded: [{ from: bob }] } },
      {
        type: 'forward',
        body: { title: 'Chat', forwarded: [{ from: bob, body: { text: 'one' } }, { body: { text: 'two' } }] },
      },
    ])
  })

  test('is the only way to a copy: nobody says by hand that another wrote something', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    const said = [{ from: bob, at: 1, type: 'text', body: { text: 'words of nobody' } }]
    const claims = [
      { type: 'forward', body: { forwarded: said } },
      { type: 'text', body: { text: 'words of nobody', forwarded: [{ from: bob, at: 1 }] } },
      { type: 'custom:poll', body: { forwarded: said } },
    ]
    for (const [i, claim] of claims.entries()) {
      const refusal = { code: 'bad_request' }
      expect(await phone.send({ id: `claim${i}`, to: bob, ...claim })).toMatchObject(refusal)
      await expect(call(alice, 'messages.send', { to: bob, ...claim })).rejects.toMatchObject(refusal)
      const planned = call(alice, 'messages.schedule', { to: bob, ...claim, at: Date.now() + 60_000 })
      await expect(planned).rejects.toMatchObject(refusal)
    }
    await call(alice, 'messages.send', { to: bob, text: 'my own' })
    expect(await pageOf(bob, directLog(alice, bob))).toMatchObject([{ seq: 1, body: { text: 'my own' } }])
  })
})

describe('a message that is planned', () => {
  test('goes out at its time like any other; one that is refused then is told to its author', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    using other = await Device.connect(server, bob, 'phone')
    const at = Date.now() + 1000
    const planned = await phone.call('messages.schedule', { to: bob, text: 'later', at, id: 's1' }, 'r1')
    expect(planned).toMatchObject({ kind: 'result', result: { id: 's1' } })
    const stranger = newUid('stranger')
    await call(alice, 'messages.schedule', { to: stranger, text: 'to nobody', at, id: 's2' })
    const { items } = await call<{ items: object[] }>(alice, 'messages.scheduled', {})
    expect(items).toMatchObject([{ id: 's1', at }, { id: 's2' }])
    const message = await other.untilText('later')
    expect(message).toMatchObject({ from: alice, id: 's1' })
    expect(message.at).toBeGreaterThanOrEqual(at)
    await until(
      () => phone.inbox.find(({ type }) => type === 'schedule_failed'),
      () => `a notice; ${JSON.stringify(phone.inbox)}`,
    )
    expect(phone.inbox.find(({ type }) => type === 'schedule_failed')).toMatchObject({
      log: `n:${alice}`,
      body: { id: 's2', code: 'unknown_user' },
    })
    expect(await call(alice, 'messages.scheduled', {})).toEqual({ items: [] })
  })
})

describe('a message that destroys itself', () => {
  test('is empty for everybody a while after the other person has read it, and devices are told', async () => {
    const { alice, bob } = await newFriends(server)
    using other = await Device.connect(server, bob, 'phone')
    const body = { text: 'secret', expire: { afterReadMs: 1000 } }
    const { log, seq } = await call(alice, 'messages.send', { to: bob, type: 'text', body })
    await other.untilText('secret')
    await call(bob, 'conversations.read', { log, seq })
    const told = await until(
      () => other.inbox.find(({ kind }) => kind === 'recall'),
      () => `a recall; ${JSON.stringify(other.inbox)}`,
    )
    expect(told).toMatchObject({ type: 'expired', body: { seq } })
    expect((await pageOf(alice, String(log)))[0]).toMatchObject({
      body: {},
      state: { recalled: { reason: 'expired' } },
    })
  })
})

describe('a sender whom the receiver does not hear, and who is not to know it', () => {
  test('sees their messages as sent, on all devices, while the receiver gets nothing', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    using tablet = await Device.connect(server, alice, 'tablet')
    using other = await Device.connect(server, bob, 'phone')
    await call(bob, 'contacts.block', { uid: alice, mode: 'swallow' })
    const sent = await phone.send({ id: 'x', to: bob, text: 'do you hear me?' })
    expect(sent).toMatchObject({ kind: 'accepted', seq: 1 })
    expect(await tablet.untilText('do you hear me?')).toMatchObject({ kind: 'message', seq: 1 })
    await call(bob, 'contacts.unblock', { uid: alice })
    await phone.send({ id: 'y', to: bob, text: 'and now?' })
    await other.untilText('and now?')
    expect(other.texts).toEqual(['and now?'])
    expect((await pageOf(bob, directLog(alice, bob))).map(({ seq }) => seq)).toEqual([2])
  })
})
