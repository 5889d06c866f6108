/** Packet ids of one connection over their whole range [MQTT-2.3.1-4]; which node serves it makes no difference. */
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { newFriends } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_ACK_TIMEOUT_MS: '10m' } })

test('packet ids wrap past 65,535 while a window is open, and none is used twice at once', async () => {
  const COUNT = 34_000
  // More than half of the window: the server must not wait for these.
  const OPEN = 20
  const { alice, bob } = await newFriends(server)
  using device = await Device.connect(server, bob, 'phone', { autoAck: false })
  await device.untilSynced()
  device.client.packets.length = 0
  const unacked: number[] = []
  const usedTwice: number[] = []
  const seqs: number[] = []
  let wraps = 0
  device.onInbox((entry, packet) => {
    const id = packet.messageId!
    if (unacked.includes(id)) usedTwice.push(id)
    if (id < (unacked.at(-1) ?? 0)) wraps += 1
    unacked.push(id)
    seqs.push(entry.seq)
    // The oldest is acknowledged only when 24 newer ones are under way.
    if (unacked.length > OPEN) device.client.send({ cmd: 'puback', messageId: unacked.shift()! })
  })
  await sendWithoutWaiting(alice, bob, COUNT)
  await until(
    () => seqs.length >= COUNT,
    () => `${COUNT} deliveries, ${seqs.length} came`,
    60_000,
  )
  expect(usedTwice).toEqual([])
  expect(wraps).toBe(1)
  expect(seqs.findIndex((seq, i) => seq !== i + 1)).toBe(-1)
}, 120_000)

/** Many messages without an id, pipelined, a thousand at a time. */
async function sendWithoutWaiting(from: string, to: string, count: number): Promise<void> {
  const PIPELINED = 1000
  using sender = await Device.connect(server, from, 'bulk', { subscribe: false })
  let acked = 0
  sender.client.onPacket((packet) => {
    if (packet.cmd === 'puback') acked += 1
  })
  for (let sent = 0; sent < count; ) {
    for (let i = 0; i < PIPELINED; i++, sent++) sender.publishSend(`{"to":"${to}","text":"${sent}"}`)
    await until(
      () => acked >= sent - PIPELINED,
      () => `the PUBACKs to keep up, ${acked} came`,
    )
  }
  await until(() => acked >= count, 'all PUBACKs')
}
