/** The offline queue: cursors, windows, drain, live, gaps (design: sections 1.3, 5 and 11). */
import { describe, expect, test } from 'vitest'
import { Device, type InboxEntry } from '../harness/device.ts'
import { runMosquitto } from '../harness/mosquitto.ts'
import { befriend, befriendAll, directLog, inTurns, newFriends, newUid } from '../harness/people.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const WINDOW = 32

const server = sharedServer()

/** A persistent session that exists, with its inbox started, and nobody connected. */
async function leaveSession(on: TestServer, uid: string, id: string): Promise<void> {
  using device = await Device.connect(on, uid, id, { clean: false })
  await device.untilSynced()
  await device.leave()
}

/** `count` messages from one device, pipelined; resolves when all are acknowledged. */
async function sendMany(on: TestServer, from: string, to: string, count: number, name = 'm'): Promise<void> {
  using sender = await Device.connect(on, from, `s-${name}`, { subscribe: false })
  for (let i = 1; i <= count; i++) sender.publishSend({ id: `${name}-${i}`, to, text: `${name}-${i}` })
  await until(
    () => sender.client.received('puback').length === count,
    () => `${count} PUBACKs for ${from}; ${sender.client.story()}`,
  )
}

const numbered = (count: number, name = 'm', from = 1) =>
  Array.from({ length: count - from + 1 }, (_, i) => `${name}-${i + from}`)

function byLog(entries: readonly InboxEntry[]): Map<string, number[]> {
  const seqs = new Map<string, number[]>()
  for (const { log, seq } of entries) seqs.set(log, [...(seqs.get(log) ?? []), seq])
  return seqs
}

describe('5,000 messages over 50 conversations', () => {
  const FRIENDS = 50
  const EACH = 100
  const TOTAL = FRIENDS * EACH

  test('wait for a receiver, half is acknowledged, cut, and the other half is drained; window 32', async () => {
    const hub = newUid('hub')
    const friends = Array.from({ length: FRIENDS }, (_, i) => newUid(`f${i}`))
    await befriendAll(server, hub, friends)
    await leaveSession(server, hub, 'phone')
    await inTurns(friends, 10, (friend) => sendMany(server, friend, hub, EACH))

    const acked = new Set<string>()
    using first = await Device.connect(server, hub, 'phone', {
      clean: false,
      autoAck: false,
      subscribe: false,
    })
    expect(first.sessionPresent).toBe(true)
    await until(() => first.deliveries.length >= WINDOW, 'the first window')
    await first.settle()
    expect(first.deliveries.length).toBe(WINDOW)
    const ackAndNote = (entry: InboxEntry) => acked.add(`${entry.log} ${entry.seq}`)
    for (const packet of first.deliveries) first.client.ack(packet)
    first.inbox.forEach(ackAndNote)
    first.onInbox((entry, packet) => {
      if (acked.size >= TOTAL / 2) return
      ackAndNote(entry)
      first.client.ack(packet)
    })
    await until(
      () => acked.size >= TOTAL / 2,
      () => `half, ${acked.size} are acknowledged`,
    )
    await first.settle()
    expect(acked.size).toBe(TOTAL / 2)
    const inFlight = first.deliveries.length - acked.size
    expect(inFlight).toBeGreaterThan(0)
    expect(inFlight).toBeLessThanOrEqual(WINDOW)
    first.cut()

    using second = await Device.connect(server, hub, 'phone', { clean: false, subscribe: false })
    await second.untilMessages(TOTAL / 2, 60_000)
    await second.settle()
    const again = second.messages.filter((entry) => acked.has(`${entry.log} ${entry.seq}`))
    expect(again).toEqual([])
    expect(second.deliveries.length).toBe(TOTAL / 2)

    const everything = new Set([...acked, ...second.messages.map((entry) => `${entry.log} ${entry.seq}`)])
    expect(everything.size).toBe(TOTAL)
    const expectedSeqs = Array.from({ length: EACH }, (_, i) => i + 1)
    const logs = byLog(second.messages)
    for (const friend of friends) {
      const rest = logs.get(directLog(hub, friend)) ?? []
      expect(rest).toEqual(expectedSeqs.slice(EACH - rest.length))
    }
    await second.leave()

    using third = await Device.connect(server, hub, 'phone', { clean: false, subscribe: false })
    await third.settle()
    expect(third.deliveries).toEqual([])
  }, 120_000)
})

describe('what waited', () => {
  test('comes in order after a graceful restart, only what was not acknowledged', async () => {
    await using own = await startServer()
    await befriend(own, 'alice', 'bob')
    await leaveSession(own, 'bob', 'phone')
    await sendMany(own, 'alice', 'bob', 20)
    {
      using bob = await Device.connect(own, 'bob', 'phone', {
        clean: false,
        subscribe: false,
        autoAck: false,
      })
      await until(() => bob.deliveries.length === 20, '20 messages')
      for (const packet of bob.deliveries.slice(0, 8)) bob.client.ack(packet)
      await bob.client.ping()
    }
    await own.restart()
    using bob = await Device.connect(own, 'bob', 'phone', { clean: false, subscribe: false })
    expect(bob.sessionPresent).toBe(true)
    await bob.untilMessages(12)
    await bob.settle()
    expect(bob.deliveries.map((packet) => JSON.parse(String(packet.payload)).body.text)).toEqual(
      numbered(20, 'm', 9),
    )
  })

  test('comes after a kill, and what was acknowledged long before does not come again', async () => {
    await using own = await startServer()
    await befriend(own, 'alice', 'bob')
    await leaveSession(own, 'bob', 'phone')
    await sendMany(own, 'alice', 'bob', 10, 'seen')
    {
      using bob = await Device.connect(own, 'bob', 'phone', { clean: false, subscribe: false })
      await bob.untilMessages(10)
      // The cursor is on disk when the connection is closed.
      await bob.leave()
    }
    await sendMany(own, 'alice', 'bob', 10, 'new')
    await own.kill9()
    await own.start()
    using bob = await Device.connect(own, 'bob', 'phone', { clean: false, subscribe: false })
    await bob.untilMessages(10)
    await bob.settle()
    expect(bob.texts).toEqual(numbered(10, 'new'))
  })

  test('is fetched by mosquitto_sub -c', async () => {
    const { alice, bob } = await newFriends(server)
    const args = [
      ...['-p', String(server.mqttPort), '-q', '1', '-c', '-i', `${bob}/phone`, '-u', bob],
      ...['-P', server.token(bob, 'phone'), '-t', `u/${bob}/inbox`],
    ]
    // -E: subscribe and leave; the session stays.
    expect((await runMosquitto('mosquitto_sub', [...args, '-E'])).code).toBe(0)
    await sendMany(server, alice, bob, 50)
    const { out, code } = await runMosquitto('mosquitto_sub', [...args, '-C', '50'])
    expect(code).toBe(0)
    expect(out.map((line) => JSON.parse(line).body.text)).toEqual(numbered(50))
  })

  test('for each device on its own, whatever the others acknowledged', async () => {
    const { alice, bob } = await newFriends(server)
    await leaveSession(server, bob, 'phone')
    await leaveSession(server, bob, 'tablet')
    await sendMany(server, alice, bob, 5)
    using phone = await Device.connect(server, bob, 'phone', { clean: false, subscribe: false })
    await phone.untilMessages(5)
    using tablet = await Device.connect(server, bob, 'tablet', { clean: false, subscribe: false })
    await tablet.untilMessages(5)
    expect(tablet.texts).toEqual(numbered(5))
  })
})

describe('sync', () => {
  test('start with the pending count, the entries, then done', async () => {
    const { alice, bob } = await newFriends(server)
    await leaveSession(server, bob, 'phone')
    await sendMany(server, alice, bob, 40)
    using device = await Device.connect(server, bob, 'phone', { clean: false, subscribe: false })
    await device.untilSynced()
    const story = device.client
      .publishes()
      .map((packet) => JSON.parse(String(packet.payload)) as Record<string, unknown>)
    expect(story[0]).toMatchObject({ kind: 'sync', phase: 'start', pending: 40 })
    expect(story.slice(1, 41).every((entry) => entry.kind === 'message')).toBe(true)
    expect(story[41]).toMatchObject({ kind: 'sync', phase: 'done' })
    expect(story.length).toBe(42)
  })

  test('of a device with nothing to come is start with 0 and done', async () => {
    const uid = newUid('idle')
    using device = await Device.connect(server, uid, 'phone')
    await device.untilSynced()
    expect(device.replies.slice(0, 2)).toEqual([
      { kind: 'sync', phase: 'start', pending: 0 },
      { kind: 'sync', phase: 'done' },
    ])
  })

  test('is not begun again by a repeated SUBSCRIBE', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, bob, 'phone', { clean: false })
    await device.untilSynced()
    await sendMany(server, alice, bob, 3)
    await device.untilMessages(3)
    await device.client.subscribe(device.inboxTopic)
    await device.settle()
    expect(device.deliveries.length).toBe(3)
    expect(device.replies.filter((reply) => reply.kind === 'sync').length).toBe(2)
  })
})

describe('a backlog above the limit', () => {
  test('is cut at the old end with a gap, and the pages stay readable', async () => {
    await using own = await startServer({ env: { WOCHAT_BACKLOG_ENTRIES_MAX: '10' } })
    await befriend(own, 'alice', 'bob')
    await leaveSession(own, 'bob', 'phone')
    await sendMany(own, 'alice', 'bob', 30)
    {
      using bob = await Device.connect(own, 'bob', 'phone', { clean: false, subscribe: false })
      await bob.untilText('m-30')
      await bob.settle()
      const [gap, ...rest] = bob.inbox
      expect(gap).toMatchObject({
        kind: 'gap',
        log: 'd:alice:bob',
        epoch: rest[0]?.epoch,
        from: 1,
        to: 20,
        reason: 'backlog',
      })
      expect(bob.deliveries[0]?.qos).toBe(1)
      expect(rest.map((entry) => entry.seq)).toEqual(Array.from({ length: 10 }, (_, i) => i + 21))
      await bob.leave()
    }
    using again = await Device.connect(own, 'bob', 'phone', { clean: false, subscribe: false })
    await again.settle()
    expect(again.inbox).toEqual([])
    const page = await own.http<{ entries: InboxEntry[] }>(
      'messages.page',
      { log: 'd:alice:bob', before: 21, limit: 50 },
      own.token('bob', null),
    )
    expect(page.entries.map((entry) => entry.seq)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  })
})

describe('a new device', () => {
  test.each([true, false])(
    'starts at the heads and reads older history by page (clean: %s)',
    async (clean) => {
      const { alice, bob } = await newFriends(server)
      await sendMany(server, alice, bob, 5, 'old')
      using device = await Device.connect(server, bob, 'new', { clean })
      await device.untilSynced()
      expect(device.messages).toEqual([])
      await sendMany(server, alice, bob, 1, 'new')
      await device.untilText('new-1')
      expect(device.texts).toEqual(['new-1'])
      const page = await device.call('messages.page', { log: directLog(alice, bob), before: 6 }, 'older')
      const { entries } = page.result as { entries: InboxEntry[] }
      expect(entries.map((entry) => entry.body.text)).toEqual(numbered(5, 'old'))
    },
  )

  test('gets a conversation that begins later from its first entry', async () => {
    const bob = newUid('bob')
    await leaveSession(server, bob, 'phone')
    const carol = newUid('carol')
    await befriend(server, carol, bob)
    await sendMany(server, carol, bob, 3)
    using device = await Device.connect(server, bob, 'phone', { clean: false, subscribe: false })
    await device.untilMessages(3)
    expect(device.messages.map((entry) => entry.seq)).toEqual([1, 2, 3])
  })
})

describe('while a device drains', () => {
  test('a message of another conversation is not held back by the backlog', async () => {
    const hub = newUid('hub')
    const [chatty, brief] = [newUid('chatty'), newUid('brief')]
    await befriendAll(server, hub, [chatty, brief])
    await leaveSession(server, hub, 'phone')
    await sendMany(server, chatty, hub, 2000)
    using device = await Device.connect(server, hub, 'phone', {
      clean: false,
      subscribe: false,
      autoAck: false,
    })
    await until(() => device.deliveries.length === WINDOW, 'a full window')
    await sendMany(server, brief, hub, 1, 'urgent')
    device.onInbox((_, packet) => device.client.ack(packet))
    for (const packet of device.deliveries) device.client.ack(packet)
    await device.untilText('urgent-1')
    const place = device.texts.indexOf('urgent-1')
    expect(place).toBeLessThan(1000)
    await device.untilMessages(2001, 60_000)
    expect(device.texts.filter((text) => text !== 'urgent-1')).toEqual(numbered(2000))
  })

  test('messages that are sent meanwhile come once and in order', async () => {
    const { alice, bob } = await newFriends(server)
    await leaveSession(server, bob, 'phone')
    await sendMany(server, alice, bob, 500, 'a')
    const [device] = await Promise.all([
      Device.connect(server, bob, 'phone', { clean: false, subscribe: false }),
      sendMany(server, alice, bob, 500, 'b'),
    ])
    await device.untilMessages(1000)
    expect(device.texts).toEqual([...numbered(500, 'a'), ...numbered(500, 'b')])
    expect(device.deliveries.length).toBe(1000)
    device.cut()
  })

  test('its own sends do not pile up as a backlog', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using device = await Device.connect(server, alice, 'phone', { clean: false })
      await device.untilSynced()
      for (let i = 0; i < 100; i++) device.publishSend({ id: `own-${i}`, to: bob, text: `${i}` })
      await until(() => device.client.received('puback').length === 100, '100 PUBACKs')
      await device.leave()
    }
    using device = await Device.connect(server, alice, 'phone', { clean: false, subscribe: false })
    const start = await device.reply((reply) => reply.kind === 'sync' && reply.phase === 'start')
    expect(start.pending).toBe(0)
    expect(device.messages).toEqual([])
  })
})
