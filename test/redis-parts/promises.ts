/**
 * The promises that plain topics of a cluster must keep, each as a run over two brokers whose outcome is one line of a
 * table. Publishers are on the first broker, the member under test is on the second.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, connectAsync, type MqttClient } from 'mqtt'
import { until, within } from '../harness/wait.ts'
import type { Cluster } from './cluster.ts'

const GROUP = 'app/groups/1'
const DIRECT = 'app/people/bob'
const ARRIVE_MS = 20_000
const ANSWER_MS = 5_000
/** A broker may read a long queue before it answers. */
const CONNECT_MS = 60_000
/** Nothing more comes when this long nothing came. */
const QUIET_MS = 3_000

class Member {
  readonly client: MqttClient
  readonly texts: string[] = []

  private constructor(client: MqttClient) {
    this.client = client
    client.on('message', (_topic, payload) => this.texts.push(payload.toString()))
    client.on('error', () => {})
  }

  static async connect(port: number, clientId: string, isClean = false): Promise<Member> {
    // Not connectAsync: what a broker sends right after its CONNACK must find the listener there.
    const client = connect(`mqtt://127.0.0.1:${port}`, {
      clientId,
      clean: isClean,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_MS,
      resubscribe: false,
    })
    const member = new Member(client)
    await within(
      new Promise<void>((resolve) => client.once('connect', () => resolve())),
      `CONNACK of ${clientId}`,
      CONNECT_MS,
    )
    return member
  }

  async leave(isForced = false): Promise<void> {
    await this.client.endAsync(isForced)
  }

  /** Waits until nothing has come for a while, or all of it has. */
  async settle(count: number): Promise<void> {
    const endAt = Date.now() + ARRIVE_MS
    let seen = -1
    while (this.texts.length < count && this.texts.length !== seen && Date.now() < endAt) {
      seen = this.texts.length
      await sleep(QUIET_MS)
    }
  }

  /** First arrivals of texts with a prefix, and whether they came in the order of their numbers. */
  arrived(prefix: string): { count: number; inOrder: boolean } {
    const numbers = this.texts
      .filter((text) => text.startsWith(prefix))
      .map((text) => Number(text.split(' ')[1]))
    const first = [...new Set(numbers)]
    return { count: first.length, inOrder: first.every((n, i) => i === 0 || n > first[i - 1]!) }
  }
}

function publisher(port: number): Promise<MqttClient> {
  return connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, connectTimeout: ANSWER_MS })
}

/** Publishes `{prefix} 0`, `{prefix} 1`...; resolves with the numbers that were acknowledged. */
async function publishMany(
  client: MqttClient,
  topic: string,
  prefix: string,
  count: number,
): Promise<Set<number>> {
  const acknowledged = new Set<number>()
  const all = Array.from({ length: count }, (_, n) =>
    client.publishAsync(topic, `${prefix} ${n}`, { qos: 1 }).then(
      () => acknowledged.add(n),
      () => {},
    ),
  )
  await Promise.race([Promise.all(all), sleep(ARRIVE_MS)])
  return acknowledged
}

function inWords({ count, inOrder }: { count: number; inOrder: boolean }, of: number): string {
  return `${count} of ${of}${count > 1 ? (inOrder ? ', in order' : ', out of order') : ''}`
}

export const PROMISES: Record<string, (cluster: Cluster) => Promise<string>> = {
  '200 group and 200 direct messages to one member, live': async ({ ports }) => {
    const bob = await Member.connect(ports[1], 'live-bob')
    for (const filter of [GROUP, DIRECT])
      await within(bob.client.subscribeAsync(filter, { qos: 1 }), 'SUBACK')
    const others = []
    for (let i = 0; i < 20; i++) {
      const other = await Member.connect(ports[i % 2 === 0 ? 0 : 1], `live-${i}`)
      await within(other.client.subscribeAsync(GROUP, { qos: 1 }), 'SUBACK')
      others.push(other)
    }
    const clients = [await publisher(ports[0]), await publisher(ports[0])]
    const acknowledged = await Promise.all([
      publishMany(clients[0]!, GROUP, 'group', 200),
      publishMany(clients[1]!, DIRECT, 'direct', 200),
    ])
    await bob.settle(400)
    const acks = acknowledged.map(({ size }) => size).join(' and ')
    const [group, direct] = [bob.arrived('group'), bob.arrived('direct')]
    for (const member of [bob, ...others]) await member.leave(true)
    for (const client of clients) await client.endAsync(true)
    return `${acks} acknowledged; group ${inWords(group, 200)}; direct ${inWords(direct, 200)}`
  },

  '5,000 queued, drained on one reconnect before live ones': async ({ ports }) => {
    const before = await Member.connect(ports[1], 'queued-bob')
    await within(before.client.subscribeAsync('app/queued', { qos: 1 }), 'SUBACK')
    await before.leave()
    const alice = await publisher(ports[0])
    const acknowledged = await publishMany(alice, 'app/queued', 'old', 5_000)
    let isLive = true
    let sent = 0
    const live = (async () => {
      for (; isLive; sent++)
        await Promise.race([alice.publishAsync('app/queued', `live ${sent}`, { qos: 1 }), sleep(ANSWER_MS)])
    })()
    await sleep(200)
    const bob = await Member.connect(ports[1], 'queued-bob')
    await sleep(1_000)
    isLive = false
    await live
    await bob.settle(5_000 + sent)
    const old = bob.arrived('old')
    const newer = bob.arrived('live')
    const lastOld = bob.texts.findLastIndex((text) => text.startsWith('old'))
    const overtaking = bob.texts.slice(0, lastOld).filter((text) => text.startsWith('live')).length
    await bob.leave(true)
    await alice.endAsync(true)
    return `${acknowledged.size} acknowledged; ${inWords(old, 5_000)}; ${overtaking} live ones before the last of them; live ${inWords(newer, sent)}`
  },

  'one SUBSCRIBE with several filters': async ({ ports }) => {
    const bob = await Member.connect(ports[1], 'filters-bob')
    const filters = { 'app/a': { qos: 1 }, 'app/b': { qos: 1 }, 'app/c/#': { qos: 1 } } as const
    const answered = await within(bob.client.subscribeAsync(filters), 'SUBACK', ANSWER_MS).then(
      () => 'acknowledged',
      () => `no SUBACK within ${ANSWER_MS / 1000} s`,
    )
    await bob.leave(true)
    return answered
  },

  'kill -9 of the broker after the acknowledgement': async (cluster) => {
    const { ports } = cluster
    const before = await Member.connect(ports[1], 'killed-bob')
    await within(before.client.subscribeAsync('app/killed', { qos: 1 }), 'SUBACK')
    await before.leave()
    const alice = await publisher(ports[0])
    alice.on('error', () => {})
    const acknowledged = new Set<number>()
    for (let n = 0; n < 2_000; n++) {
      alice.publish('app/killed', `m ${n}`, { qos: 1 }, (error) => {
        if (error === null || error === undefined) acknowledged.add(n)
      })
    }
    await until(() => acknowledged.size >= 500, '500 PUBACKs')
    await cluster.killBroker(0)
    await alice.endAsync(true).catch(() => {})
    const counted = new Set(acknowledged)
    const bob = await Member.connect(ports[1], 'killed-bob')
    await bob.settle(counted.size)
    const came = new Set(bob.texts.map((text) => Number(text.split(' ')[1])))
    const lost = [...counted].filter((n) => !came.has(n)).length
    const { inOrder } = bob.arrived('m')
    await bob.leave(true)
    return `${counted.size} acknowledged, ${lost} of them lost${inOrder ? '' : ', out of order'}`
  },

  'Redis restarted with its data': async (cluster) => {
    const { ports } = cluster
    const bob = await Member.connect(ports[1], 'restart-bob')
    await within(bob.client.subscribeAsync('app/restart', { qos: 1 }), 'SUBACK')
    const alice = await publisher(ports[0])
    const acknowledged = new Set<number>()
    let isRunning = true
    let sent = 0
    const load = (async () => {
      for (; isRunning; sent++) {
        const n = sent
        alice.publish('app/restart', `m ${n}`, { qos: 1 }, (error) => {
          if (error === null || error === undefined) acknowledged.add(n)
        })
        await sleep(5)
      }
    })()
    await sleep(1_000)
    await cluster.restartRedis()
    await sleep(3_000)
    isRunning = false
    await load
    await sleep(2_000)
    await bob.settle(sent)
    const came = new Set(bob.texts.map((text) => Number(text.split(' ')[1])))
    const lostLive = [...acknowledged].filter((n) => !came.has(n)).length
    await bob.leave(true)
    const again = await Member.connect(ports[1], 'restart-bob')
    await again.settle(sent)
    for (const text of again.texts) came.add(Number(text.split(' ')[1]))
    const lost = [...acknowledged].filter((n) => !came.has(n)).length
    await again.leave(true)
    await alice.endAsync(true)
    const { inOrder } = bob.arrived('m')
    return `${sent} sent, ${acknowledged.size} acknowledged; ${lostLive} of these not live, ${lost} not after a reconnect either${inOrder ? '' : '; out of order'}`
  },
}
