/** The process dies in the middle of a load, or is asked to stop: nothing acknowledged is lost, nothing comes twice. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { checkHistory } from '../harness/history-checker.ts'
import { LoadRecord, LoadSender } from '../harness/load.ts'
import { MqttJs } from '../harness/mqtt-client.ts'
import { directLog, makeAccounts, makeGroup } from '../harness/people.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const SENDERS = ['s0', 's1', 's2', 's3']
const RECEIVERS = ['r0', 'r1', 'r2']
const EACH = 750
const TOTAL = SENDERS.length * EACH

type Run = { server: TestServer; record: LoadRecord; senders: LoadSender[]; group: string }

async function prepare(server: TestServer): Promise<Run> {
  await makeAccounts(server, ...SENDERS, ...RECEIVERS)
  const group = await makeGroup(server, 's0', [...SENDERS.slice(1), ...RECEIVERS])
  const record = new LoadRecord()
  const senders = SENDERS.map((uid) => new LoadSender(record, uid, [...RECEIVERS, group], EACH))
  return { server, record, senders, group }
}

/** The receivers' persistent sessions on the running server. */
async function connectReceivers({ server, record }: Run): Promise<Device[]> {
  return Promise.all(
    RECEIVERS.map(async (uid) => {
      const device = await Device.connect(server, uid, 'phone', { clean: false, subscribe: false })
      record.watch(device)
      if (!device.sessionPresent) await device.follow()
      return device
    }),
  )
}

const answered = (run: Run) => run.senders.reduce((sum, sender) => sum + sender.answered, 0)

/** Every acknowledged id has come to each receiver that should have it, as far as a count can tell. */
async function untilDelivered(run: Run): Promise<void> {
  const counts = RECEIVERS.map((uid) => {
    const logs = new Set([run.group, ...SENDERS.map((sender) => directLog(sender, uid))])
    const ids = run.record.accepted.filter(({ log }) => logs.has(log)).map(({ id }) => id)
    return { name: `${uid}/phone`, wanted: new Set(ids).size }
  })
  const got = (name: string) =>
    new Set(run.record.delivered.get(name)?.map((entry) => `${entry.log} ${entry.seq}`)).size
  await until(
    () => counts.every(({ name, wanted }) => got(name) >= wanted),
    () => `deliveries ${JSON.stringify(counts.map((c) => ({ ...c, got: got(c.name) })))}`,
    30_000,
  )
}

function verify({ record, group }: Run): void {
  const expected = RECEIVERS.map(
    (uid) => [`${uid}/phone`, [group, ...SENDERS.map((sender) => directLog(sender, uid))]] as const,
  )
  // Before the first message the log of the group holds the entry that made it.
  const firstOfGroup = Math.min(...record.accepted.filter(({ log }) => log === group).map(({ seq }) => seq))
  const violations = checkHistory({
    attempted: record.attempted,
    accepted: record.accepted,
    delivered: record.delivered,
    expected: new Map(expected),
    firstSeq: new Map([[group, firstOfGroup]]),
  })
  expect(violations).toEqual([])
  expect(record.refused).toEqual([])
}

const OPEN = { env: { WOCHAT_CONTACTS_REQUIRED: 'false' } }

describe('under a load of 3,000 sends by four senders', () => {
  test('kill -9, twice: every acknowledged entry is delivered exactly once, in order, without gaps', async () => {
    await using server = await startServer(OPEN)
    const run = await prepare(server)
    let receivers = await connectReceivers(run)
    for (const killAt of [TOTAL * 0.3, TOTAL * 0.6]) {
      const running = run.senders.map((sender) => sender.run(server))
      await until(
        () => answered(run) >= killAt,
        () => `${killAt} answers, ${answered(run)} came`,
      )
      await server.kill9()
      await Promise.all(running)
      expect(answered(run)).toBeLessThan(TOTAL)
      for (const device of receivers) device.cut()
      await server.start()
      receivers = await connectReceivers(run)
    }
    await Promise.all(run.senders.map((sender) => sender.run(server)))
    expect(answered(run)).toBe(TOTAL)
    await untilDelivered(run)
    verify(run)
    for (const device of receivers) device.cut()
  }, 120_000)

  test('SIGTERM: ends with 0, and what was acknowledged is there', async () => {
    await using server = await startServer(OPEN)
    const run = await prepare(server)
    let receivers = await connectReceivers(run)
    const running = run.senders.map((sender) => sender.run(server))
    await until(
      () => answered(run) >= TOTAL * 0.4,
      () => `40 %, ${answered(run)} answers came`,
    )
    server.signal('SIGTERM')
    expect(await server.exited).toEqual({ code: 0, signal: null })
    await Promise.all(running)
    for (const device of receivers) device.cut()
    // Refusals as shutting_down are fair; such a send is not answered and goes again.
    run.record.refused.splice(0, run.record.refused.length, ...run.record.refused.filter(isNotShutdown))
    await server.start()
    receivers = await connectReceivers(run)
    await Promise.all(run.senders.map((sender) => sender.run(server)))
    await untilDelivered(run)
    verify(run)
    for (const device of receivers) device.cut()
  }, 120_000)
})

const isNotShutdown = (refusal: string) => !/: (shutting_down|busy)$/.test(refusal)

describe('a graceful stop', () => {
  test('tells MQTT 5 clients, closes all, and the cursors of this moment are kept', async () => {
    await using server = await startServer(OPEN)
    await makeAccounts(server, 'alice', 'bob')
    using alice = await Device.connect(server, 'alice', 'phone')
    using bob = await Device.connect(server, 'bob', 'phone', { version: 5, clean: false })
    await alice.send({ id: 'm1', to: 'bob', text: 'acknowledged at the last moment' })
    await bob.untilMessages(1)
    await bob.client.ping()
    await server.stop()
    await bob.client.untilClosed()
    await alice.client.untilClosed()
    expect(bob.client.received('disconnect')[0]?.reasonCode).toBe(0x8b)
    await server.start()
    using again = await Device.connect(server, 'bob', 'phone', { version: 5, clean: false, subscribe: false })
    await again.settle()
    expect(again.sessionPresent).toBe(true)
    expect(again.messages).toEqual([])
  })

  // The HTTP server waits for its sockets; those of MQTT over WebSocket were closed only after it, so it waited for ever.
  test.each([4, 5] as const)(
    'ends clients over WebSocket that come back at once (version %i)',
    async (version) => {
      await using server = await startServer(OPEN)
      await using alice = await MqttJs.connect(server, 'alice', 'browser', {
        over: 'ws',
        version,
        reconnectPeriod: 50,
      })
      await alice.client.subscribeAsync('u/alice/inbox', { qos: 1 })
      await server.stop()
      await until(() => !alice.client.connected, 'the client to be disconnected')
    },
  )

  test('is not held up by a connection that says nothing or reads nothing', async () => {
    await using server = await startServer(OPEN)
    using frozen = await Device.connect(server, 'alice', 'phone')
    frozen.client.freeze()
    const since = performance.now()
    await server.stop()
    expect(performance.now() - since).toBeLessThan(12_000)
  })
})
