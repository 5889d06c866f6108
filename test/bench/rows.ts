import { SINGLE_BROKERS } from './broker.ts'
import { CHAT_ROWS } from './chat-rows.ts'
import { CLUSTER_ROWS } from './cluster-rows.ts'
import type { GeneratorResult } from './generator.ts'
import { MEMBER_ROWS } from './member-rows.ts'
import {
  at,
  figure,
  latency,
  perSecond,
  type Row,
  type RowContext,
  type RowOutcome,
  storm,
  time,
  WARMUP_SECONDS,
} from './row.ts'

const SINGLE_ROWS: readonly Omit<Row, 'brokers' | 'nodes'>[] = [
  {
    id: 'S1',
    title: '100 pairs one to one, 20 in flight each, persistent sessions',
    metrics: [perSecond('deliveries', 80_000), time('p99', 'ms')],
    crossCheck: true,
    async measure({ broker, flow, seconds }) {
      const pairs = await broker.people({ publishers: 100, devices: 100 })
      const result = await flow({
        ...pairs,
        groups: 100,
        window: 20,
        persistent: true,
        seconds,
        warmup: WARMUP_SECONDS,
      })
      return {
        values: { deliveries: figure(result, 'deliveriesPerSecond'), p99: latency(result, 'p99') },
        results: [result],
      }
    },
  },
  {
    id: 'S1r',
    title: 'the same at 1,000/s, latency to the receiver',
    metrics: [time('p50', 'ms', 0.6), time('p99', 'ms', 4)],
    async measure({ broker, generate, seconds }) {
      const pairs = await broker.people({ publishers: 100, devices: 100 })
      const options = { groups: 100, rate: 1000, persistent: true, seconds, warmup: WARMUP_SECONDS }
      const result = await generate('latency', { ...at(broker), ...pairs, ...options })
      return { values: { p50: latency(result, 'p50'), p99: latency(result, 'p99') }, results: [result] }
    },
  },
  {
    id: 'S2a',
    title: 'one group of 100 online members, 20 in flight',
    metrics: [perSecond('deliveries', 600_000)],
    crossCheck: true,
    measure: (context) => measureGroup(context, { members: 100, window: 20 }),
  },
  {
    id: 'S2b',
    title: 'one group of 1,000 online members, 5 in flight',
    metrics: [perSecond('deliveries', 350_000)],
    crossCheck: true,
    measure: (context) => measureGroup(context, { members: 1000, window: 5 }),
  },
  {
    id: 'S3',
    title:
      '5,000 devices connect, persistent session, inbox subscribed (with JWT on wochat); once more when known',
    metrics: [perSecond('connects', 6000), perSecond('again')],
    async measure({ broker, generate }) {
      const warmup = await storm(
        generate,
        broker,
        await broker.people({ publishers: 0, devices: 500, prefix: 'w' }),
        500,
      )
      const devices = await broker.people({ publishers: 0, devices: 5000 })
      const first = await storm(generate, broker, devices, 5000)
      const again = await storm(generate, broker, devices, 5000)
      const values = {
        connects: figure(first, 'connectsPerSecond'),
        again: figure(again, 'connectsPerSecond'),
      }
      return { values, results: [warmup, first, again] }
    },
  },
  {
    id: 'S3m',
    title: 'memory per idle connected device at 19,000, after garbage collection',
    metrics: [{ name: 'memory', unit: 'kB', better: 'lower', digits: 2, target: 8 }],
    async measure({ broker, generate }) {
      const devices = await broker.people({ publishers: 0, devices: 19_000 })
      // Mosquitto has no collector, and SIGUSR2 makes it print its subscriptions.
      const gcSignal = broker.name === 'mosquitto' ? '' : 'SIGUSR2'
      const result = await storm(generate, broker, devices, 19_000, { gcSignal, sources: 8 })
      return { values: { memory: figure(result, 'kbPerDeviceAfterGc') }, results: [result] }
    },
  },
  {
    id: 'S4e',
    title: '1,000 devices away, 20 messages for each: enqueue',
    metrics: [perSecond('messages', 80_000)],
    async measure(context) {
      const { result, warmup } = await measureOffline(context, {
        messages: 20,
        phases: 'prepare,enqueue,drain',
      })
      return {
        values: { messages: figure(result, 'enqueue', 'messagesPerSecond') },
        results: [warmup, result],
      }
    },
  },
  {
    id: 'S4d',
    title: '1,000 known devices come back to 100 messages each; messages/s from the first CONNECT',
    metrics: [perSecond('messages', 80_000), time('connect', 's'), time('then drain', 's')],
    async measure(context) {
      const { result, warmup } = await measureOffline(context, {
        messages: 100,
        phases: 'prepare,enqueue,drain',
      })
      const values = {
        messages: figure(result, 'drain', 'messagesPerSecond'),
        connect: figure(result, 'drain', 'connectSeconds'),
        'then drain': figure(result, 'drain', 'afterConnectSeconds'),
      }
      return { values, results: [warmup, result] }
    },
  },
  {
    id: 'S6',
    title: 'sends/s to a group of 10,000 offline members, as part of one to one to offline devices',
    metrics: [
      { name: 'group of one to one', unit: '%', better: 'higher', digits: 1, target: 90 },
      perSecond('to group'),
      perSecond('one to one'),
    ],
    measure: measureAwayGroup,
  },
  {
    id: 'S7',
    title: 'plain MQTT (own topics on wochat), 100 pairs, 20 in flight, clean sessions',
    metrics: [
      { ...perSecond('deliveries'), targetOfAedes: 0.5 },
      time('PUBACK p50', 'ms'),
      time('p50', 'ms'),
    ],
    async measure({ broker, flow, seconds }) {
      const result = await flow({
        ...(await broker.plain(100)),
        groups: 100,
        window: 20,
        seconds,
        warmup: WARMUP_SECONDS,
      })
      const values = {
        deliveries: figure(result, 'deliveriesPerSecond'),
        'PUBACK p50': figure(result, 'ackMs', 'p50'),
        p50: latency(result, 'p50'),
      }
      return { values, results: [result] }
    },
  },
]

export const ROWS: readonly Row[] = [
  ...SINGLE_ROWS.map((row) => ({ ...row, brokers: SINGLE_BROKERS, nodes: 1 })),
  ...CLUSTER_ROWS,
  ...CHAT_ROWS,
  ...MEMBER_ROWS,
]

async function measureGroup(
  { broker, flow, seconds }: RowContext,
  size: { members: number; window: number },
) {
  const group = await broker.group({ publishers: 1, members: size.members })
  const result = await flow({
    ...group.flow,
    subs: size.members,
    window: size.window,
    seconds,
    warmup: WARMUP_SECONDS,
  })
  return { values: { deliveries: figure(result, 'deliveriesPerSecond') }, results: [result] }
}

/** The code is warm before the clock runs, as it is on a server: other people talk for a moment first. */
async function warmUp({ broker, generate }: RowContext): Promise<GeneratorResult> {
  const others = await broker.people({ publishers: 100, devices: 100, prefix: 'w' })
  return generate('flow', { ...at(broker), ...others, groups: 100, warmup: 0, seconds: WARMUP_SECONDS })
}

async function measureOffline(context: RowContext, size: { messages: number; phases: string }) {
  const { broker, generate } = context
  const warmup = await warmUp(context)
  const people = await broker.people({ publishers: 100, devices: 1000 })
  const options = { devices: 1000, pubs: 100, window: 20, persistent: true, ...size }
  return { warmup, result: await generate('offline', { ...at(broker), ...people, ...options }) }
}

async function measureAwayGroup(context: RowContext): Promise<RowOutcome> {
  const { broker, generate, flow, seconds } = context
  const warmup = await warmUp(context)
  const [senders, members] = [20, 10_000]
  const single = await broker.people({ publishers: 0, devices: senders, prefix: 'o' })
  const away = await storm(generate, broker, single, senders)
  const group = await broker.group({ publishers: senders, members })
  const membersAway = await storm(generate, broker, group.members, members)
  const short = { subs: 0, seconds: Math.min(seconds, 2), warmup: 0.5, window: 20 }
  // A broker that queues a copy for every member is at each of these for long: with 400 under way it would not be done
  // with them when the drain ends, and its memory would be full.
  const window = broker.name === 'wochat' ? short.window : 1
  const pairs = await broker.people({ publishers: senders, devices: senders, prefix: 'o' })
  const oneToOne = await flow({ ...pairs, ...short, groups: senders })
  const toGroup = await flow({ ...group.flow, ...short, pubs: senders, window })
  const values = {
    'to group': figure(toGroup, 'acksPerSecond'),
    'one to one': figure(oneToOne, 'acksPerSecond'),
  }
  return {
    values: { 'group of one to one': (100 * values['to group']) / values['one to one'], ...values },
    results: [warmup, away, membersAway, oneToOne, toGroup],
  }
}
