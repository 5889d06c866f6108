/** Every device is served alone: a frozen one costs the others nothing (design: sections 1.4 and 9). */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { inTurns, makeAccounts, makeGroup, newUid } from '../harness/people.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const MEMBERS = 100
const FEW = 5
const OPEN = { WOCHAT_CONTACTS_REQUIRED: 'false' }

type Group = { id: string; sender: Device; frozen: Device; others: Device[] } & Disposable

/** A group: one sends, one will freeze, the others listen. */
async function startGroup(server: TestServer, frozenQos: 0 | 1, members = MEMBERS): Promise<Group> {
  const uids = Array.from({ length: members }, (_, i) => newUid(`m${i}`))
  await makeAccounts(server, ...uids)
  const id = await makeGroup(server, uids[0]!, uids.slice(1))
  const sender = await Device.connect(server, uids[0]!, 'phone')
  const frozen = await Device.connect(server, uids[1]!, 'phone', { clean: false, subscribe: false })
  await frozen.client.subscribe({ topic: frozen.inboxTopic, qos: frozenQos })
  const others: Device[] = []
  await inTurns(uids.slice(2), 8, async (uid) => {
    others.push(await Device.connect(server, uid, 'phone'))
  })
  const end = () => {
    for (const device of [sender, frozen, ...others]) device.cut()
  }
  return { id, sender, frozen, others, [Symbol.dispose]: end }
}

async function sendAll({ id, sender }: Group, texts: readonly string[], padding = ''): Promise<void> {
  for (const text of texts) {
    await sender.send({ id: text, to: id, type: 'text', body: { text, padding } })
  }
}

const numbered = (count: number, name: string) => Array.from({ length: count }, (_, i) => `${name}${i}`)

describe('a frozen receiver in a group of 100', () => {
  test('holds nobody up; thawed, it gets everything once and in order', async () => {
    await using server = await startServer({ env: OPEN })
    using group = await startGroup(server, 1)
    const texts = numbered(200, 'm')
    group.frozen.client.freeze()
    await sendAll(group, texts)
    for (const device of group.others) {
      await device.untilMessages(texts.length)
      expect(device.texts).toEqual(texts)
    }
    expect(group.frozen.texts).toEqual([])
    group.frozen.client.thaw()
    await group.frozen.untilMessages(texts.length)
    expect(group.frozen.texts).toEqual(texts)
    expect(group.frozen.deliveries.length).toBe(texts.length)
  })

  test('that does not acknowledge is cut in time, and catches up when it comes back', async () => {
    await using server = await startServer({ env: { ...OPEN, WOCHAT_ACK_TIMEOUT_MS: '2s' } })
    using group = await startGroup(server, 1)
    const texts = numbered(100, 'm')
    group.frozen.client.freeze()
    await sendAll(group, texts)
    for (const device of group.others) await device.untilMessages(texts.length)
    // A frozen socket does not see its own end: the server's count of connections tells.
    await until(async () => (await connections(server)) === MEMBERS - 1, 'the frozen connection to be cut')
    group.frozen.cut()
    using back = await Device.connect(server, group.frozen.uid, 'phone', { clean: false, subscribe: false })
    expect(back.sessionPresent).toBe(true)
    await back.untilMessages(texts.length)
    expect(back.texts).toEqual(texts)
  })

  test('whose socket is full is cut after the drain timeout, while the others receive', async () => {
    await using server = await startServer({ env: { ...OPEN, WOCHAT_DRAIN_TIMEOUT_MS: '1s' } })
    using group = await startGroup(server, 0, FEW)
    group.frozen.client.freeze()
    // At QoS 0 no window holds the writes: 15 MB are more than the buffers of a loopback socket take.
    const texts = numbered(300, 'big')
    await sendAll(group, texts, 'x'.repeat(50_000))
    for (const device of group.others) await device.untilMessages(texts.length, 30_000)
    await until(async () => (await connections(server)) === FEW - 1, 'the full connection to be cut')
  }, 60_000)
})

async function connections(server: TestServer): Promise<number> {
  return (await server.metrics()).sum('wochat_connections')
}
