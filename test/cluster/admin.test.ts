/** Three nodes, and an operator who asks any one of them about all. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { admin, adminRaw, readyz, Trace } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { LogBuffer } from '../harness/log-buffer.ts'
import { directLog, newFriends, newUid } from '../harness/people.ts'
import { cleanEnv, REPO, sharedServer } from '../harness/server.ts'
import { until, within } from '../harness/wait.ts'

const server = sharedServer({
  nodes: [{}, {}, {}],
  env: { WOCHAT_DRAIN_STEP_CONNECTIONS: '2', WOCHAT_DRAIN_STEP_MS: '100ms' },
})
const SLOW_MS = 90_000

/** Connects to the node at `place`, whatever the turn. */
async function connectTo(place: number, uid: string, id: string, options = {}): Promise<Device> {
  server.serveFrom(place)
  try {
    return await Device.connect(server, uid, id, options)
  } finally {
    server.serveFrom(0, 1, 2)
  }
}

async function nodeId(place: number): Promise<string> {
  const { nodes } = await admin(server, 'nodes', {})
  return nodes.find(({ name }) => name === `node-${place}`)!.id
}

async function wochatAdmin(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const url = `http://127.0.0.1:${server.adminPort}`
  const child = spawn(process.execPath, [join(REPO, 'main.ts'), 'admin', ...args, '--url', url], {
    env: cleanEnv(),
  })
  const [out, err] = [new LogBuffer(), new LogBuffer()]
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => out.push(chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => err.push(chunk))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const code = await within(ended, `wochat admin ${args.join(' ')}`, SLOW_MS)
  return { code, out: out.text.trimEnd(), err: err.text.trimEnd() }
}

test(
  'sessions, kick and revoke reach a device on whichever node it is',
  async () => {
    const uid = newUid('bob')
    const devices = await Promise.all(
      [0, 1, 2].map((place) => connectTo(place, uid, `d${place}`, { version: 5 })),
    )
    const { devices: rows, away } = await admin(server, 'sessions', { uid })
    expect(away).toEqual([])
    const where = await Promise.all([0, 1, 2].map(nodeId))
    expect(rows.map(({ connection }) => connection?.node)).toEqual(where)

    expect((await admin(server, 'kick', { uid, device: 'd2' })).closed).toEqual([
      { device: 'd2', node: where[2] },
    ])
    expect((await devices[2]!.client.next('disconnect')).reasonCode).toBe(0x98)
    await admin(server, 'revoke', { uid, device: 'd1' })
    await devices[1]!.client.untilClosed()
    await devices[0]!.client.ping()
    for (const device of devices) device.cut()
  },
  SLOW_MS,
)

test(
  'a trace follows one message from the node that stored it to the node that sent it',
  async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await connectTo(1, alice, 'laptop')
    using receiver = await connectTo(2, bob, 'phone', { clean: false })
    await using trace = await Trace.start(server, { log: directLog(alice, bob), seconds: 60 })
    await sender.send({ id: 'm1', to: bob, text: 'x' })
    await receiver.untilText('x')
    await until(() => trace.steps.some(({ step }) => step === 'acknowledged'), 'the acknowledgement')
    const [ingest, holder] = [await nodeId(1), await nodeId(2)]
    const nodeOf = (wanted: string) =>
      trace.steps.filter(({ step }) => step === wanted).map(({ node }) => node)
    expect(nodeOf('accepted')).toEqual([ingest])
    expect(nodeOf('stored')).toEqual([ingest])
    expect(nodeOf('rung')).toContain(holder)
    expect(nodeOf('sent')).toEqual([holder])
    expect(nodeOf('acknowledged')).toEqual([holder])
  },
  SLOW_MS,
)

test(
  'message shows the acknowledgement of a device, as PostgreSQL has it, and who is not there',
  async () => {
    const { alice, bob } = await newFriends(server)
    using receiver = await connectTo(2, bob, 'phone', { clean: false })
    await (await connectTo(0, bob, 'tablet', { clean: false })).leave()
    using sender = await connectTo(1, alice, 'laptop')
    const { seq } = await sender.send({ id: 'm1', to: bob, text: 'x' })
    await receiver.untilText('x')
    const log = directLog(alice, bob)
    const { readers } = await until(async () => {
      const found = await admin(server, 'message', { log, seq: seq! })
      return found.readers.some(({ isAcknowledged }) => isAcknowledged) ? found : false
    }, 'the acknowledgement')
    expect(readers.find(({ device }) => device === 'phone')).toMatchObject({ uid: bob, cursor: seq })
    expect(readers.find(({ device }) => device === 'tablet')).toMatchObject({ isAcknowledged: false })
    const { devices } = await admin(server, 'sessions', { uid: bob })
    expect(devices.find(({ device }) => device === 'tablet')?.session?.pending).toBe(1)
  },
  SLOW_MS,
)

test(
  'wochat admin drain --wait empties another node, whose devices go on elsewhere',
  async () => {
    const { alice, bob } = await newFriends(server)
    using receiver = await connectTo(2, bob, 'phone', { version: 5, clean: false })
    const others = await Promise.all([1, 2, 3, 4].map((i) => connectTo(2, newUid(`o${i}`), 'phone')))
    const { code, out } = await wochatAdmin('drain', 'node-2', '--wait')
    expect(code, out).toBe(0)
    expect(out.split('\n').at(-1)).toMatch(/^node-2\.\w+: drained$/)
    expect((await receiver.client.next('disconnect')).reasonCode).toBe(0x9c)
    for (const other of others) await other.client.untilClosed()
    expect((await readyz(server)).status).toBe(200)
    await until(async () => {
      const { nodes } = await admin(server, 'nodes', {})
      return nodes.find(({ name }) => name === 'node-2')?.state === 'draining'
    }, 'the state to be announced')

    using back = await connectTo(0, bob, 'phone', { version: 5, clean: false, subscribe: false })
    expect(back.sessionPresent).toBe(true)
    using sender = await connectTo(1, alice, 'laptop')
    await sender.send({ id: 'm1', to: bob, text: 'after the drain' })
    await back.untilText('after the drain')
    expect((await wochatAdmin('undrain', 'node-2')).code).toBe(0)
    using again = await connectTo(2, newUid('new'), 'phone')
    await again.client.ping()
  },
  SLOW_MS,
)

test(
  'rebalance sends the surplus of one node elsewhere, and only that',
  async () => {
    const untilAnnounced = (loads: number[]) =>
      until(
        async () => {
          const { nodes } = await admin(server, 'nodes', {})
          return (
            nodes.length === loads.length &&
            nodes.every(({ connections, state }, i) => connections === loads[i] && state === 'ready')
          )
        },
        () => `the loads ${loads.join(', ')} to be announced`,
      )
    await untilAnnounced([0, 0, 0])
    const devices = await Promise.all(
      Array.from({ length: 12 }, (_, i) => connectTo(0, newUid(`r${i}`), 'phone', { version: 5 })),
    )
    await untilAnnounced([12, 0, 0])
    const { average, shed } = await admin(server, 'rebalance', {})
    expect([average, shed]).toEqual([4, [{ node: await nodeId(0), connections: 12, surplus: 8 }]])
    await untilAnnounced([4, 0, 0])
    const left = devices.filter(({ client }) => client.closed)
    expect(left).toHaveLength(8)
    expect(new Set(left.map(({ client }) => client.received('disconnect')[0]?.reasonCode))).toEqual(
      new Set([0x9c]),
    )
    for (const device of devices) device.cut()
  },
  SLOW_MS,
)

test(
  'queues shows the streams of work, and wochat admin prints nodes and names what it does not find',
  async () => {
    const { streams, nodes } = await admin(server, 'queues', {})
    expect(nodes).toHaveLength(3)
    expect(streams?.map(({ stream }) => stream)).toEqual(expect.arrayContaining(['fanout 0', 'push']))
    const table = await wochatAdmin('nodes')
    expect(table.out.split('\n')).toHaveLength(4)
    const missing = await wochatAdmin('drain', 'nowhere')
    expect([missing.code, missing.err.split(':')[0]]).toEqual([1, 'unknown_node'])
  },
  SLOW_MS,
)

test(
  'a node that was killed is named or gone, and the answers of the others still come',
  async () => {
    const uid = newUid('bob')
    using device = await connectTo(0, uid, 'phone')
    await server.nodes[2]!.kill9()
    const { status, body } = await adminRaw(server, 'sessions', { body: JSON.stringify({ uid }) })
    expect(status).toBe(200)
    const { devices } = body as { devices: { connection: unknown }[] }
    expect(devices[0]?.connection).not.toBeNull()
    await device.client.ping()
    await until(
      async () => (await admin(server, 'nodes', {})).nodes.length === 2,
      'the node to be gone',
      40_000,
    )
  },
  SLOW_MS,
)
