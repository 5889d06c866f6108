/**
 * What the pinned Aedes does when nothing is around it: the facts of docs/adr/0002-engine.md, each in a process of its
 * own because some end it. `node broker/engine/testing/bare-aedes.ts` prints the table; run it again before the pin moves.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { type Duplex, duplexPair } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Aedes } from 'aedes'
import type { ProtocolVersion } from '../../gate/codec/constants.ts'
import {
  encodeConnect,
  encodePublish,
  encodePubrel,
  encodeSubscribe,
  type SubscribeInput,
} from '../../gate/codec/encode.ts'

/** A commit of a store that syncs to disk. */
const COMMIT_MS = 5

type Memory = {
  outgoingEnqueueCombi(subscriptions: unknown[], packet: unknown): Promise<void>
  incomingStorePacket(client: unknown, packet: unknown): Promise<void>
  incomingDelPacket(client: unknown, packet: unknown): Promise<void>
}

const MemoryPersistence = createRequire(import.meta.url)(
  'aedes-persistence/asyncPersistence.js',
) as new () => Memory

/** Aedes's own persistence in memory, which takes as long as a commit. */
class SlowPersistence extends MemoryPersistence {
  stored = 0

  override async outgoingEnqueueCombi(subscriptions: unknown[], packet: unknown): Promise<void> {
    await sleep(COMMIT_MS)
    await super.outgoingEnqueueCombi(subscriptions, packet)
    this.stored++
  }
}

class Wire {
  readonly #stream: Duplex
  readonly #version: ProtocolVersion
  readonly firstBytes: number[] = []

  constructor(aedes: Aedes, version: ProtocolVersion = 4) {
    const [ours, theirs] = duplexPair()
    this.#version = version
    this.#stream = ours
    aedes.handle(theirs)
    // Every packet of this script's servers is short: its length is one byte.
    ours.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 2 + chunk[at + 1]!) this.firstBytes.push(chunk[at]!)
    })
    ours.on('error', () => {})
  }

  async connect(clientId: string, cleanStart = true): Promise<this> {
    const version = this.#version
    const properties = version === 5 && !cleanStart ? { sessionExpiryInterval: 1000 } : {}
    this.write(encodeConnect({ version, cleanStart, keepAliveSeconds: 0, clientId, properties }))
    await sleep(50)
    return this
  }

  async subscribe(...filters: SubscribeInput['filters']): Promise<void> {
    this.write(encodeSubscribe({ version: this.#version, packetId: 1, filters }))
    await sleep(50)
  }

  publish(qos: 0 | 1 | 2, packetId: number, topic = 't'): void {
    this.write(encodePublish({ version: this.#version, topic, qos, packetId, payload: Buffer.from('x') }))
  }

  write(bytes: Buffer): void {
    this.#stream.write(bytes)
  }

  count(type: number): number {
    return this.firstBytes.filter((byte) => byte >> 4 === type).length
  }

  close(): void {
    this.#stream.destroy()
  }
}

const FACTS: Record<string, () => Promise<string>> = {
  'PUBACK comes before the message is stored': async () => {
    const persistence = new SlowPersistence()
    const aedes = await Aedes.createBroker({ persistence })
    await (await new Wire(aedes).connect('sub', false)).subscribe({ filter: 't', qos: 1 })
    const publisher = await new Wire(aedes).connect('pub')
    for (let i = 1; i <= 100; i++) publisher.publish(1, i)
    while (publisher.count(4) < 100) await sleep(0)
    return `${publisher.count(4)} acknowledged, ${persistence.stored} stored`
  },
  'a QoS 0 message overtakes a QoS 1 one, which is then dropped': async () => {
    const aedes = await Aedes.createBroker({ persistence: new SlowPersistence() })
    const subscriber = await new Wire(aedes).connect('sub', false)
    await subscriber.subscribe({ filter: 't', qos: 1 })
    const publisher = await new Wire(aedes).connect('pub')
    const other = await new Wire(aedes).connect('other')
    for (let i = 1; i <= 50; i++) {
      publisher.publish(1, i)
      await sleep(1)
      other.publish(0, 0)
      await sleep(2 * COMMIT_MS)
    }
    const atQos1 = subscriber.firstBytes.filter((byte) => (byte & 0xf6) === 0x32).length
    return `${atQos1} of 50 QoS 1 messages delivered`
  },
  'a QoS 2 message is lost by a crash between receipt and store': async () => {
    const aedes = await Aedes.createBroker()
    const { persistence } = aedes as unknown as { persistence: { asyncPersistence: Memory } }
    const subscriber = await new Wire(aedes).connect('sub')
    await subscriber.subscribe({ filter: 't', qos: 2 })
    const publisher = await new Wire(aedes).connect('pub', false)
    // What such a crash leaves on disk: the receipt, and no message.
    await persistence.asyncPersistence.incomingStorePacket(
      { id: 'pub' },
      { topic: 't', payload: 'x', qos: 2, messageId: 7 },
    )
    publisher.publish(2, 7)
    await sleep(100)
    return `PUBREC ${publisher.count(5)}, delivered ${subscriber.count(3)}`
  },
  'a subscription of QoS 1 with a wildcard gets QoS 2': async () => {
    const aedes = await Aedes.createBroker()
    const subscriber = await new Wire(aedes).connect('sub')
    await subscriber.subscribe({ filter: 't/#', qos: 1 })
    const publisher = await new Wire(aedes).connect('pub')
    publisher.publish(2, 1, 't/1')
    await sleep(100)
    const delivery = subscriber.firstBytes.find((byte) => byte >> 4 === 3) ?? 0
    return `delivered at QoS ${(delivery >> 1) & 3}`
  },
  'client id `constructor`': async () => {
    const aedes = await Aedes.createBroker()
    await new Wire(aedes).connect('constructor')
    return 'lives'
  },
  'filter `constructor`': async () => {
    const aedes = await Aedes.createBroker()
    await (await new Wire(aedes).connect('sub')).subscribe({ filter: 'constructor', qos: 1 })
    return 'lives'
  },
  'concurrent duplicate PUBRELs': async () => {
    const aedes = await Aedes.createBroker()
    const publisher = await new Wire(aedes).connect('pub', false)
    publisher.publish(2, 7)
    await sleep(50)
    publisher.write(Buffer.concat([encodePubrel(4, 7), encodePubrel(4, 7)]))
    await sleep(100)
    return 'lives'
  },
  'v5 PUBLISH with a truncated Response Topic': async () => {
    const aedes = await Aedes.createBroker()
    const publisher = await new Wire(aedes, 5).connect('pub')
    // topic `t`, then a property list of 3 bytes whose Response Topic claims 16.
    publisher.write(Buffer.from([0x30, 7, 0, 1, 0x74, 3, 0x08, 0, 16]))
    await sleep(100)
    return 'lives'
  },
}

const wanted = process.argv[2]
if (wanted !== undefined) {
  process.stdout.write(await FACTS[wanted]!())
  process.exit(0)
}
for (const name of Object.keys(FACTS)) {
  const run = spawnSync(process.execPath, [import.meta.filename, name], { encoding: 'utf8', timeout: 20_000 })
  const death = /^\w*Error\b.*/m.exec(run.stderr)?.[0] ?? `exit code ${run.status}`
  process.stdout.write(`${name}: ${run.status === 0 ? run.stdout : `the process dies (${death})`}\n`)
}
