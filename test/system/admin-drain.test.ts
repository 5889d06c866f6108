/** A node is emptied: the load balancer hears of it first, devices leave in steps, and nothing is lost. */
import { describe, expect, test } from 'vitest'
import { admin, readyz, selfOf } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { startMosquittoSub, subscribedMessages } from '../harness/mosquitto.ts'
import { MqttJs } from '../harness/mqtt-client.ts'
import { directLog, newFriends, newUid } from '../harness/people.ts'
import { RawClient } from '../harness/raw-client.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const USE_ANOTHER_SERVER = 0x9c
const SERVER_UNAVAILABLE = 3

async function untilDrained(server: TestServer): Promise<void> {
  await until(
    async () => (await admin(server, 'drainStatus', {})).nodes[0]?.state === 'drained',
    'the node to be drained',
  )
}

async function connackOf(server: TestServer, version: 4 | 5): Promise<number> {
  const uid = newUid('late')
  using client = await RawClient.open({ port: server.mqttPort, version })
  return (
    await client.connect({ clientId: `${uid}/phone`, username: uid, password: server.token(uid, 'phone') })
  ).code
}

describe('a drain', () => {
  test('sends every kind of client elsewhere, refuses new ones, and undrain lets them in again', async () => {
    await using server = await startServer()
    const { alice, bob } = await newFriends(server)
    await using v5 = await MqttJs.connect(server, newUid('v5'), 'phone', { version: 5 })
    await using v311 = await MqttJs.connect(server, newUid('v311'), 'phone', { version: 4 })
    await using web = await MqttJs.connect(server, newUid('web'), 'tab', { over: 'ws', version: 5 })
    const reasons: (number | undefined)[] = []
    for (const { client } of [v5, web]) client.on('disconnect', ({ reasonCode }) => reasons.push(reasonCode))
    await using sub = await startMosquittoSub([
      ...['-h', '127.0.0.1', '-p', String(server.mqttPort), '-q', '1', '-c', '-i', `${bob}/phone`, '-u', bob],
      ...['-P', server.token(bob, 'phone'), '-t', `u/${bob}/inbox`],
    ])
    const node = await selfOf(server)

    await admin(server, 'drain', { node })
    await untilDrained(server)
    await until(() => [v5, v311, web].every(({ client }) => !client.connected), 'all to be closed')
    expect(reasons).toEqual([USE_ANOTHER_SERVER, USE_ANOTHER_SERVER])
    expect(await connackOf(server, 5)).toBe(USE_ANOTHER_SERVER)
    expect(await connackOf(server, 4)).toBe(SERVER_UNAVAILABLE)
    expect((await readyz(server)).reasons).toEqual(['the node is draining'])
    expect((await fetch(`http://127.0.0.1:${server.adminPort}/livez`)).status).toBe(200)

    expect(await admin(server, 'undrain', { node })).toMatchObject({ state: 'none', startedAt: null })
    expect((await readyz(server)).status).toBe(200)
    using sender = await Device.connect(server, alice, 'laptop')
    await sender.send({ id: 'after', to: bob, text: 'after the drain' })
    // mosquitto_sub comes back by itself.
    await until(
      () =>
        subscribedMessages(sub).some(({ body }) => (body as { text?: string }).text === 'after the drain'),
      () => `the message after the drain: ${sub.out.text.slice(-500)}`,
      40_000,
    )
  }, 90_000)

  test('is announced first: /readyz is red while connections are still taken', async () => {
    await using server = await startServer({ env: { WOCHAT_READY_DELAY_MS: '3s' } })
    using held = await Device.connect(server, newUid('held'), 'phone')
    const { state } = await admin(server, 'drain', { node: await selfOf(server) })
    expect(state).toBe('announced')
    expect(await readyz(server)).toMatchObject({ status: 503, reasons: ['the node is draining'] })
    expect(await connackOf(server, 4)).toBe(0)
    await held.client.ping()
    await untilDrained(server)
    await held.client.untilClosed()
  })

  test('closes in steps, and says how far it is', async () => {
    await using server = await startServer({
      env: { WOCHAT_DRAIN_STEP_CONNECTIONS: '2', WOCHAT_DRAIN_STEP_MS: '200ms' },
    })
    const devices = await Promise.all(
      Array.from({ length: 8 }, (_, i) => Device.connect(server, newUid(`d${i}`), 'phone')),
    )
    await admin(server, 'drain', { node: await selfOf(server) })
    const seen = new Set<number>()
    await until(async () => {
      const [row] = (await admin(server, 'drainStatus', {})).nodes
      seen.add(row!.connectionsLeft)
      expect(row!.connectionsAtStart).toBe(8)
      return row!.state === 'drained'
    }, 'the drain')
    expect([...seen].filter((left) => left > 0 && left < 8).length).toBeGreaterThanOrEqual(2)
    expect(devices.every(({ client }) => client.closed)).toBe(true)
  })

  test('while messages flow loses none, repeats none under its id, and answers what it has accepted', async () => {
    await using server = await startServer()
    const { alice, bob } = await newFriends(server)
    using receiver = await Device.connect(server, bob, 'phone', { clean: false })
    using sender = await Device.connect(server, alice, 'laptop', { version: 5 })
    const sent = new Map<number, string>()
    const send = (i: number) => sent.set(sender.publishSend({ id: `m${i}`, to: bob, text: `${i}` }), `m${i}`)
    let count = 0
    for (; count < 50; count++) send(count)
    await receiver.untilMessages(10)
    await admin(server, 'drain', { node: await selfOf(server) })
    while (!sender.client.closed) {
      send(count++)
      await new Promise((resolve) => setImmediate(resolve))
      if (count > 5000) break
    }
    await untilDrained(server)
    const acknowledged = sender.client.received('puback').map(({ messageId }) => sent.get(messageId!)!)
    expect(sender.client.received('disconnect')[0]?.reasonCode).toBe(USE_ANOTHER_SERVER)
    await admin(server, 'undrain', { node: await selfOf(server) })

    // What was accepted was answered: nothing is stored that the sender does not know of.
    using again = await Device.connect(server, alice, 'tablet', { clean: false })
    const { head } = await server.http<{ head: number }>(
      'messages.page',
      { log: directLog(alice, bob), limit: 1 },
      server.token(alice, 'tablet'),
    )
    expect(head).toBe(acknowledged.length)
    using back = await Device.connect(server, bob, 'phone', { clean: false, subscribe: false })
    await again.send({ id: 'last', to: bob, text: 'last' })
    await back.untilText('last')
    const got = [...new Set([...receiver.messages, ...back.messages].map(({ id }) => id))]
    expect(got).toEqual([...acknowledged, 'last'])
  }, 60_000)
})

describe('rebalance', () => {
  test('leaves a single node alone', async () => {
    await using server = await startServer()
    using device = await Device.connect(server, newUid('alice'), 'phone')
    expect(await admin(server, 'rebalance', {})).toMatchObject({ average: 1, shed: [] })
    await device.client.ping()
  })
})

describe('a stop', () => {
  test('turns /readyz red before a listener closes', async () => {
    await using server = await startServer({ env: { WOCHAT_READY_DELAY_MS: '2s' } })
    using device = await Device.connect(server, newUid('alice'), 'phone', { version: 5 })
    server.signal('SIGTERM')
    await until(async () => (await readyz(server)).status === 503, 'readyz to turn red')
    expect((await readyz(server)).reasons).toEqual(['the node is stopping'])
    expect(await connackOf(server, 4)).toBe(0)
    await device.client.ping()
    expect((await device.client.next('disconnect')).reasonCode).toBe(0x8b)
    expect((await server.exited).code).toBe(0)
  })
})
