/** Sending: what a PUBACK promises, who gets a message, and how it is bounced (design: sections 3, 5 and 11). */
import { describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../protocol/errors.ts'
import { Device, type InboxEntry } from '../harness/device.ts'
import { befriend, directLog, makeAccounts, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer, startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Page = { entries: InboxEntry[]; head: number; first: number }

const pageOf = (uid: string, log: string) =>
  server.http<Page>('messages.page', { log, limit: 200 }, server.token(uid, null))

/** How many entries a log has for a user; a log that does not exist has none. */
async function storedCount(uid: string, log: string): Promise<number> {
  try {
    return (await pageOf(uid, log)).entries.length
  } catch {
    return 0
  }
}

describe('an accepted message', () => {
  test('is answered with log, seq and time, and is in the log', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    const before = Date.now()
    const reply = await sender.send({
      id: 'c-81f3',
      to: bob,
      type: 'text',
      body: { text: 'Hello!', extra: [1, { deep: 'ü' }] },
    })
    const log = directLog(alice, bob)
    expect(reply).toEqual({ kind: 'accepted', id: 'c-81f3', log, seq: 1, at: expect.any(Number) })
    expect(reply.at).toBeGreaterThanOrEqual(before - 1000)
    expect(reply.at).toBeLessThanOrEqual(Date.now() + 1000)
    const { entries, head } = await pageOf(bob, log)
    expect(head).toBe(1)
    expect(entries).toEqual([
      {
        log,
        epoch: expect.any(String),
        seq: 1,
        at: reply.at,
        kind: 'message',
        from: alice,
        device: 'phone',
        id: 'c-81f3',
        type: 'text',
        body: { text: 'Hello!', extra: [1, { deep: 'ü' }] },
      },
    ])
  })

  test('reaches every device of the receiver and the other devices of the sender, not the sending one', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using senderLaptop = await Device.connect(server, alice, 'laptop', { version: 5 })
    using bobPhone = await Device.connect(server, bob, 'phone')
    using bobTablet = await Device.connect(server, bob, 'tablet', { version: 5 })
    await sender.send({ id: 'm1', to: bob, text: 'everywhere' })
    for (const device of [senderLaptop, bobPhone, bobTablet]) {
      const entry = await device.untilText('everywhere')
      expect(entry).toMatchObject({ seq: 1, from: alice, device: 'phone', id: 'm1' })
    }
    // What another device sends comes after it in the same log: had m1 been sent back, it would be here before m2.
    await senderLaptop.send({ id: 'm2', to: bob, text: 'from the laptop' })
    await sender.untilText('from the laptop')
    expect(sender.texts).toEqual(['from the laptop'])
  })

  test('is the same entry, byte for byte, for every receiver', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using first = await Device.connect(server, bob, 'one')
    using second = await Device.connect(server, bob, 'two')
    await sender.send({ id: 'm1', to: bob, text: 'line\nbreak "quoted" \\ \u2028 😀' })
    await first.untilMessages(1)
    await second.untilMessages(1)
    const payload = (device: Device) => String(device.deliveries.at(-1)?.payload)
    expect(payload(first)).toBe(payload(second))
    expect(first.texts).toEqual(['line\nbreak "quoted" \\ \u2028 😀'])
  })

  test('may be a note to self', async () => {
    const uid = newUid('solo')
    using phone = await Device.connect(server, uid, 'phone')
    using laptop = await Device.connect(server, uid, 'laptop')
    const reply = await phone.send({ id: 'n1', to: uid, text: 'buy milk' })
    expect(reply).toMatchObject({ kind: 'accepted', log: `d:${uid}:${uid}`, seq: 1 })
    await laptop.untilText('buy milk')
  })

  test('may name the conversation instead of the person', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    const log = directLog(alice, bob)
    expect(await sender.send({ id: 'm1', to: log, text: 'by log' })).toMatchObject({ log, seq: 1 })
  })

  test('without an id is answered as not idempotent', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    sender.publishSend({ to: bob, text: 'no id' })
    const reply = await sender.reply((each) => each.kind === 'accepted')
    expect(reply).toMatchObject({ seq: 1, idempotent: false })
    expect(reply.id).toBeUndefined()
  })

  test('over HTTP reaches the inbox, and is the same message as one of the same id over MQTT', async () => {
    const { alice, bob } = await newFriends(server)
    using receiver = await Device.connect(server, bob, 'phone')
    using sender = await Device.connect(server, alice, 'phone')
    const token = server.token(alice, 'phone')
    const send = { id: 'both', to: bob, type: 'text', body: { text: 'over HTTP' } }
    const answer = await server.http<{ log: string; seq: number }>('messages.send', send, token)
    await receiver.untilText('over HTTP')
    expect(await sender.send(send)).toMatchObject({ kind: 'accepted', log: answer.log, seq: answer.seq })
    expect((await pageOf(bob, answer.log)).head).toBe(1)
  })

  test('at QoS 0 is stored and answered, at QoS 2 it is stored before the PUBREC', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using receiver = await Device.connect(server, bob, 'phone')
    const topic = `u/${alice}/send`
    sender.client.publish({ topic, qos: 0, payload: JSON.stringify({ id: 'q0', to: bob, text: 'zero' }) })
    await sender.reply((reply) => reply.id === 'q0' && reply.kind === 'accepted')
    const messageId = sender.client.publish({
      topic,
      qos: 2,
      payload: JSON.stringify({ id: 'q2', to: bob, text: 'two' }),
    })
    await sender.client.next('pubrec', (packet) => packet.messageId === messageId)
    expect((await pageOf(bob, directLog(alice, bob))).entries.map((entry) => entry.id)).toEqual(['q0', 'q2'])
    await sender.client.next('pubcomp', (packet) => packet.messageId === messageId)
    await receiver.untilMessages(2)
    expect(receiver.texts).toEqual(['zero', 'two'])
  })

  test('with the retain flag is not retained', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    const payload = JSON.stringify({ id: 'r1', to: bob, text: 'retained?' })
    await sender.client.publishAcked({ topic: `u/${alice}/send`, payload, retain: true })
    using receiver = await Device.connect(server, bob, 'new-phone')
    await receiver.untilSynced()
    expect(receiver.texts).toEqual([])
  })
})

describe('the same id', () => {
  test('sent two hundred times at once is one entry with one seq', async () => {
    const { alice, bob } = await newFriends(server)
    using receiver = await Device.connect(server, bob, 'phone')
    const devices = await Promise.all(
      ['a', 'b', 'c', 'd'].map((id) => Device.connect(server, alice, id, { version: 5 })),
    )
    const send = { id: 'only-once', to: bob, text: 'once' }
    const acks = devices.flatMap((device) =>
      Array.from({ length: 50 }, () => {
        const messageId = device.publishSend(send)
        return device.client.next('puback', (packet) => packet.messageId === messageId)
      }),
    )
    for (const ack of await Promise.all(acks)) expect(ack.reasonCode ?? 0).toBe(0)
    for (const device of devices) {
      await until(() => device.replies.filter((reply) => reply.id === send.id).length === 50, '50 replies')
      for (const reply of device.replies.filter((each) => each.id === send.id)) {
        expect(reply).toMatchObject({ kind: 'accepted', seq: 1 })
      }
      device.cut()
    }
    await receiver.untilText('once')
    const { entries, head } = await pageOf(bob, directLog(alice, bob))
    expect([entries.length, head]).toEqual([1, 1])
    expect(receiver.messages.length).toBe(1)
  })

  test('with another content is refused as id_conflict and changes nothing', async () => {
    const { alice, bob } = await newFriends(server)
    const carol = newUid('carol')
    await befriend(server, alice, carol)
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'same', to: bob, text: 'first' })
    sender.publishSend({ id: 'same', to: bob, text: 'second' })
    await sender.reply((reply) => reply.kind === 'refused' && reply.code === 'id_conflict')
    sender.publishSend({ id: 'same', to: carol, text: 'first' })
    await until(
      () => sender.replies.filter((reply) => reply.code === 'id_conflict').length === 2,
      'the second conflict',
    )
    expect((await pageOf(bob, directLog(alice, bob))).entries.map((entry) => entry.body)).toEqual([
      { text: 'first' },
    ])
    expect(await storedCount(carol, directLog(alice, carol))).toBe(0)
  })

  test('of two senders names two messages', async () => {
    const { alice, bob } = await newFriends(server)
    using a = await Device.connect(server, alice, 'phone')
    using b = await Device.connect(server, bob, 'phone')
    expect(await a.send({ id: 'x', to: bob, text: 'from alice' })).toMatchObject({ seq: 1 })
    expect(await b.send({ id: 'x', to: alice, text: 'from bob' })).toMatchObject({ seq: 2 })
  })

  test('is still accepted with its seq after the friendship has ended', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    const first = await sender.send({ id: 'old', to: bob, text: 'while friends' })
    await server.http('contacts.remove', { uid: alice }, server.token(bob, null))
    sender.publishSend({ id: 'old', to: bob, text: 'while friends' })
    await until(() => sender.replies.filter((reply) => reply.id === 'old').length === 2, 'the second reply')
    expect(sender.replies.at(-1)).toEqual(first)
  })

  test('sent again after a restart, or after a kill, gives the same seq', async () => {
    await using own = await startServer()
    await befriend(own, 'alice', 'bob')
    const send = { id: 'kept', to: 'bob', text: 'survives' }
    const sendOnce = async () => {
      using sender = await Device.connect(own, 'alice', 'phone')
      return await sender.send(send)
    }
    const first = await sendOnce()
    await own.restart()
    expect(await sendOnce()).toEqual(first)
    await own.kill9()
    await own.start()
    expect(await sendOnce()).toEqual(first)
    const page = await own.http<Page>('messages.page', { log: 'd:alice:bob' }, own.token('bob', null))
    expect(page.entries.map((entry) => entry.id)).toEqual(['kept'])
  })
})

describe('a bounced message', () => {
  type Bounce = { sender: string; to: string; code: ErrorCode }

  async function toUnknown(): Promise<Bounce> {
    const sender = newUid('alice')
    await makeAccounts(server, sender)
    return { sender, to: newUid('nobody'), code: 'unknown_user' }
  }
  async function toStranger(): Promise<Bounce> {
    const [sender, to] = [newUid('alice'), newUid('stranger')]
    await makeAccounts(server, sender, to)
    return { sender, to, code: 'not_friends' }
  }
  async function toBlocker(): Promise<Bounce> {
    const { alice, bob } = await newFriends(server)
    await server.http('contacts.block', { uid: alice }, server.token(bob, null))
    return { sender: alice, to: bob, code: 'blocked' }
  }
  async function toUnknownGroup(): Promise<Bounce> {
    const sender = newUid('alice')
    await makeAccounts(server, sender)
    return { sender, to: 'g:no-such-group', code: 'unknown_group' }
  }
  async function toForeignGroup(): Promise<Bounce> {
    const { alice, bob } = await newFriends(server)
    const to = await makeGroup(server, alice, [bob])
    const sender = newUid('outsider')
    await makeAccounts(server, sender)
    return { sender, to, code: 'not_member' }
  }
  const bounces: [string, () => Promise<Bounce>][] = [
    ['to an unknown user', toUnknown],
    ['to a stranger', toStranger],
    ['to somebody who blocks the sender', toBlocker],
    ['to an unknown group', toUnknownGroup],
    ['to a group of others', toForeignGroup],
  ]

  test.each(bounces)('%s is acknowledged and answered on 3.1.1; the connection stays', async (_, make) => {
    const { sender, to, code } = await make()
    using device = await Device.connect(server, sender, 'phone')
    const reply = await device.send({ id: 'm1', to, text: 'bounce me' })
    expect(reply).toMatchObject({ kind: 'refused', id: 'm1', code, message: expect.any(String) })
    expect(reply.seq).toBeUndefined()
    await device.client.ping()
  })

  test.each(bounces)('%s has its reason in the PUBACK of MQTT 5', async (_, make) => {
    const { sender, to, code } = await make()
    using device = await Device.connect(server, sender, 'phone', { version: 5 })
    const messageId = device.publishSend({ id: 'm1', to, text: 'bounce me' })
    const ack = await device.client.next('puback', (packet) => packet.messageId === messageId)
    expect(ack.reasonCode).toBe(ERRORS[code].reason)
    expect(ack.properties?.reasonString).toContain(code)
    expect(await device.reply((reply) => reply.id === 'm1')).toMatchObject({ kind: 'refused', code })
    await device.client.ping()
  })

  test.each(bounces)('%s has its status on HTTP', async (_, make) => {
    const { sender, to, code } = await make()
    const send = { id: 'm1', to, type: 'text', body: { text: 'bounce me' } }
    await expect(server.http('messages.send', send, server.token(sender, 'phone'))).rejects.toMatchObject({
      code,
      status: ERRORS[code].http,
    })
  })

  test('is not stored, and its id is free for another try', async () => {
    const { sender, to } = await toStranger()
    using device = await Device.connect(server, sender, 'phone')
    using receiver = await Device.connect(server, to, 'phone')
    await device.send({ id: 'm1', to, text: 'too early' })
    expect(await storedCount(to, directLog(sender, to))).toBe(0)
    await befriend(server, sender, to)
    device.publishSend({ id: 'm1', to, text: 'too early' })
    await device.reply((reply) => reply.kind === 'accepted' && reply.id === 'm1')
    await receiver.untilText('too early')
    expect(receiver.texts).toEqual(['too early'])
  })

  test('does not fail the ones beside it in the same batch', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, alice, 'phone')
    for (let i = 0; i < 60; i++) {
      device.publishSend({ id: `m${i}`, to: i % 3 === 0 ? 'no-such-user' : bob, text: `${i}` })
    }
    await until(() => device.replies.filter((reply) => reply.id !== undefined).length === 60, '60 replies')
    const kinds = Array.from({ length: 60 }, (_, i) => device.replies.find((r) => r.id === `m${i}`)?.kind)
    expect(kinds).toEqual(kinds.map((_, i) => (i % 3 === 0 ? 'refused' : 'accepted')))
    expect((await pageOf(bob, directLog(alice, bob))).head).toBe(40)
  })

  test('to a stranger is accepted where contacts are not required', async () => {
    await using open = await startServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' } })
    await makeAccounts(open, 'alice', 'bob')
    using sender = await Device.connect(open, 'alice', 'phone')
    using receiver = await Device.connect(open, 'bob', 'phone')
    expect(await sender.send({ id: 'm1', to: 'bob', text: 'hello stranger' })).toMatchObject({ seq: 1 })
    await receiver.untilText('hello stranger')
    expect(await sender.send({ id: 'm2', to: 'nobody', text: 'hello?' })).toMatchObject({
      code: 'unknown_user',
    })
  })
})
