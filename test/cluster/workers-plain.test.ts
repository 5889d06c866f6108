/** Plain MQTT, wills and the operator's operations over two workers around one embedded store. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { makeAccounts, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'
import { connectApart, connectKnown, workerPids } from './workers-harness.ts'

type NodeRow = { id: string; name: string; connections: number }

describe('a server with two workers', () => {
  const server = sharedServer({ env: { WOCHAT_WORKERS: '2' } })

  const ask = async <T>(operation: string, params: object): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${server.adminPort}/admin/v1/${operation}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(params),
    })
    const body = (await response.json()) as T
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${JSON.stringify(body)}`)
    return body
  }

  test('carries own-space messages between them at every QoS, in order', async () => {
    const uid = newUid('thing')
    await makeAccounts(server, uid)
    const [lamp, phone] = await connectApart(server, uid, uid)
    for (const qos of [0, 1, 2] as const) {
      const topic = `u/${uid}/own/q${qos}`
      expect(await phone.client.subscribe({ topic, qos })).toEqual([qos])
      for (let i = 0; i < 30; i++) lamp.client.publish({ topic, payload: `${i}`, qos })
      await until(
        () => phone.client.publishes(topic).length === 30,
        () => `30 messages at QoS ${qos}, ${phone.client.publishes(topic).length} came`,
      )
      expect(phone.client.publishes(topic).map(({ payload }) => String(payload))).toEqual(
        Array.from({ length: 30 }, (_, i) => `${i}`),
      )
    }
    lamp.cut()
    phone.cut()
  })

  test('knows a retained message on both, and clears it on both', async () => {
    const uid = newUid('thing')
    await makeAccounts(server, uid)
    const topic = `u/${uid}/own/state`
    const [one, two] = await connectApart(server, uid, uid)
    await one.client.publishAcked({ topic, payload: 'on', retain: true })
    await two.client.subscribe(topic)
    await until(() => two.client.publishes(topic).length === 1, 'the retained message')
    await two.client.publishAcked({ topic, payload: '', retain: true })
    await one.client.subscribe(topic)
    await one.client.ping()
    expect(one.client.publishes(topic)).toEqual([])
    one.cut()
    two.cut()
  })

  test('keeps what was published for a device that is away, whichever worker it comes back to', async () => {
    const uid = newUid('thing')
    await makeAccounts(server, uid)
    const topic = `u/${uid}/own/jobs`
    const first = await Device.connect(server, uid, 'phone', { clean: false, subscribe: false })
    await first.client.subscribe(topic)
    await first.leave()
    using lamp = await Device.connect(server, uid, 'lamp', { subscribe: false })
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10; i++) await lamp.client.publishAcked({ topic, payload: `${round}-${i}` })
      const back = await Device.connect(server, uid, 'phone', { clean: false, subscribe: false })
      await until(() => back.client.publishes(topic).length >= 10, 'ten messages')
      await back.settle()
      expect(back.client.publishes(topic).map(({ payload }) => String(payload))).toEqual(
        Array.from({ length: 10 }, (_, i) => `${round}-${i}`),
      )
      await back.leave()
    }
  })

  test('the operator sees both as nodes, finds the devices of a user, and kicks one', async () => {
    const uid = newUid('watched')
    await makeAccounts(server, uid)
    const [one, two] = await connectApart(server, uid, uid)
    const { nodes } = await ask<{ nodes: NodeRow[] }>('nodes', {})
    expect(nodes).toHaveLength(2)
    expect(new Set(nodes.map(({ name }) => name)).size).toBe(2)
    const { devices } = await ask<{ devices: { device: string; connection: { node: string } | null }[] }>(
      'sessions',
      { uid },
    )
    const holders = devices.flatMap(({ connection }) => connection?.node ?? [])
    expect(new Set(holders)).toEqual(new Set(nodes.map(({ id }) => id)))
    await ask('kick', { uid, device: 'two' })
    await two.client.untilClosed()
    await one.client.ping()
    one.cut()
  })

  test('kill -9 of a worker publishes the wills of its devices, and no others', async () => {
    const uid = newUid('thing')
    await makeAccounts(server, uid)
    const wills = `u/${uid}/own/gone/+`
    const will = (name: string) => ({
      subscribe: false,
      connect: {
        will: {
          topic: `u/${uid}/own/gone/${name}`,
          payload: Buffer.from(name),
          qos: 1 as const,
          retain: false,
        },
      },
    })
    const watcher = await connectKnown(server, uid, 'watcher', will('watcher'))
    await watcher.device.client.subscribe(wills)
    const lamp = await until(async () => {
      const lamp = await connectKnown(server, uid, 'lamp', will('lamp'))
      if (lamp.pid !== watcher.pid) return lamp
      await lamp.device.leave()
      return null
    }, 'a lamp on the other worker')
    process.kill(lamp.pid, 'SIGKILL')
    await lamp.device.client.untilClosed()
    const gone = () => watcher.device.client.received('publish').map(({ payload }) => String(payload))
    await until(() => gone().length > 0, 'the will of the lamp')
    await until(async () => (await workerPids(server)).length === 2, 'another worker', 60_000)
    await watcher.device.settle()
    expect(gone()).toEqual(['lamp'])
    watcher.device.cut()
  }, 90_000)
})
