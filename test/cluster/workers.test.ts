/** Two broker processes behind the same ports: to a client they are one server. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { documentedMetrics } from '../harness/documented-metrics.ts'
import { checkHistory } from '../harness/history-checker.ts'
import { MqttJs } from '../harness/mqtt-client.ts'
import { befriend, directLog, makeAccounts, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'
import { connectApart, connectionsByWorker } from './workers-harness.ts'

const JUMPS = 100
/** Messages before, during and after each jump. */
const BURST = 20
const WORKERS = { WOCHAT_WORKERS: '2', WOCHAT_CONTACTS_REQUIRED: 'false' }

describe('a server with two workers', () => {
  const server = sharedServer({ env: WORKERS })

  test('spreads connections over both, and counts them together', async () => {
    const uid = newUid('crowd')
    const devices: Device[] = []
    // One after the other: of those that come at once the worker that is quicker takes more.
    for (let i = 0; i < 8; i++) {
      devices.push(await Device.connect(server, uid, `d${i}`, { subscribe: false }))
    }
    const metrics = await server.metrics()
    expect(metrics.sum('wochat_workers')).toBe(2)
    const byWorker = [...(await connectionsByWorker(server)).values()]
    expect(byWorker).toHaveLength(2)
    for (const connections of byWorker) expect(connections).toBeGreaterThanOrEqual(3)
    expect(metrics.sum('wochat_connections')).toBe(byWorker[0]! + byWorker[1]!)
    for (const device of devices) device.cut()
  })

  test('shows the metrics that the guide names', async () => {
    const shown = (await server.metrics()).declared()
    const ours = shown.filter((name) => name.startsWith('wochat_'))
    expect(ours).toEqual(documentedMetrics('ofEveryProcess', 'ofWorkers'))
  })

  test('delivers between workers in order, with replies, notices, reads and groups', async () => {
    const { alice: aliceId, bob: bobId } = await newFriends(server)
    const [alice, bob] = await connectApart(server, aliceId, bobId)
    for (let i = 0; i < 50; i++) alice.publishSend({ id: `m${i}`, to: bobId, text: `text ${i}` })
    await bob.untilMessages(50)
    expect(bob.texts).toEqual(Array.from({ length: 50 }, (_, i) => `text ${i}`))
    await alice.reply((reply) => reply.id === 'm49')
    await bob.send({ id: 'back', to: aliceId, text: 'back' })
    await alice.untilText('back')

    const made = await alice.call('groups.create', { name: 'both', members: [bobId] }, 'make')
    const group = (made.result as { id: string }).id
    await bob.send({ id: 'g1', to: group, text: 'to all' })
    await alice.untilText('to all')
    await alice.call('groups.remove', { id: group, members: [bobId] }, 'remove')
    const refused = await bob.send({ id: 'g2', to: group, text: 'too late' })
    expect(refused.kind).toBe('refused')
    alice.cut()
    bob.cut()
  })

  test('an offline queue is drained by whichever worker the device comes back to', async () => {
    const { alice: aliceId, bob: bobId } = await newFriends(server)
    using alice = await Device.connect(server, aliceId, 'phone')
    const first = await Device.connect(server, bobId, 'phone', { clean: false })
    await first.leave()
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 10; i++)
        await alice.send({ id: `r${round}-${i}`, to: bobId, text: `r${round}-${i}` })
      const bob = await Device.connect(server, bobId, 'phone', { clean: false, subscribe: false })
      expect(bob.sessionPresent).toBe(true)
      await bob.untilMessages(10)
      await bob.settle()
      expect(bob.texts).toEqual(Array.from({ length: 10 }, (_, i) => `r${round}-${i}`))
      await bob.leave()
    }
  })

  test('serves HTTP and WebSocket from the workers', async () => {
    const uid = newUid('web')
    await makeAccounts(server, uid)
    await using browser = await MqttJs.connect(server, uid, 'browser', { over: 'ws' })
    await browser.client.subscribeAsync(`u/${uid}/inbox`, { qos: 1 })
    const keys = await Promise.all(
      [1, 2, 3, 4].map(async () => (await fetch(`${server.httpUrl}/.well-known/jwks.json`)).text()),
    )
    expect(new Set(keys).size).toBe(1)
  })

  test('an ended login closes the connection on the other worker', async () => {
    const uid = newUid('ended')
    await makeAccounts(server, uid)
    const [one, two] = await connectApart(server, uid, uid)
    await server.http('auth.revoke', { deviceId: two.id }, server.token(uid, one.id))
    await two.client.untilClosed()
    await one.client.ping()
    one.cut()
  })

  test('a device that jumps between workers 100 times while messages flow loses none and gets none twice', async () => {
    const [sender, receiver] = [newUid('sender'), newUid('jumper')]
    await befriend(server, sender, receiver)
    const connect = (subscribe: boolean) =>
      Device.connect(server, receiver, 'phone', { clean: false, subscribe })
    const connections = [await connect(true)]
    using writer = await Device.connect(server, sender, 'load')
    const attempted = new Set<string>()
    const publish = () => {
      for (let i = 0; i < BURST; i++) {
        const id = `m${attempted.size}`
        attempted.add(id)
        writer.publishSend({ id, to: receiver, text: `text of ${id}` })
      }
    }
    const answers = () => writer.replies.filter(({ kind }) => kind === 'accepted')
    let moves = 0
    // A connection of somebody else in between makes the next one meet the same worker again.
    for (let jump = 0; moves < JUMPS && jump < JUMPS * 2; jump++) {
      const before = await connectionsByWorker(server)
      publish()
      const connecting = connect(false)
      publish()
      const next = await connecting
      expect(next.sessionPresent).toBe(true)
      publish()
      await connections.at(-1)!.client.untilClosed()
      connections.push(next)
      const after = await connectionsByWorker(server)
      if ([...after].some(([pid, open]) => before.get(pid) !== open)) moves++
      await until(
        () => answers().length === attempted.size,
        () => `${attempted.size} answers, ${answers().length} came`,
      )
    }
    expect(moves).toBe(JUMPS)
    const inbox = () => connections.flatMap((device) => device.inbox).filter(({ kind }) => kind === 'message')
    const distinct = () => new Set(inbox().map(({ seq }) => seq)).size
    await until(
      () => distinct() === attempted.size,
      () => `${attempted.size} entries, ${distinct()} came`,
    )
    const delivered = inbox().map(({ log, epoch, seq, id, body }) => ({
      log,
      epoch,
      seq,
      id,
      text: String(body.text),
    }))
    const violations = checkHistory({
      attempted,
      accepted: answers().map(({ id, log, seq }) => ({ id: id!, log: log!, seq: seq! })),
      delivered: new Map([['the phone', delivered]]),
      expected: new Map([['the phone', [directLog(sender, receiver)]]]),
    })
    expect(violations).toEqual([])
    for (const device of connections) device.cut()
  }, 180_000)
})
