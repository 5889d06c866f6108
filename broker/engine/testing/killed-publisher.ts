/**
 * A process that publishes until it is killed, and says on standard output what was decided: `t/{i} {kind}`, one line
 * each. For durability.test.ts. Argument: the folder of the store.
 */
import { writeSync } from 'node:fs'
import { pino } from 'pino'
import { createEngine } from '../engine.ts'
import { ENGINE_SETTINGS } from './engine-settings.ts'
import { PlainDevice } from './plain-device.ts'
import { openStoreIn } from './temp-store.ts'

const KINDS = ['qos1', 'qos2', 'retained'] as const
const PIPELINED = 40

const store = await openStoreIn(process.argv[2]!)
const engine = await createEngine({ store, log: pino({ level: 'silent' }), settings: ENGINE_SETTINGS })
const alice = new PlainDevice(engine, 'alice/phone', {
  will: { topic: 'wills', payload: Buffer.from('gone'), qos: 1, retain: false, properties: {} },
})
await alice.link.ready

async function publishFrom(first: number): Promise<never> {
  for (let i = first; ; i += PIPELINED) {
    const kind = KINDS[i % KINDS.length]!
    const packetId = (i % 65_535) + 1
    const refusal = await alice.publish(`t/${i}`, `${i}`, {
      qos: kind === 'qos2' ? 2 : 1,
      retain: kind === 'retained',
      packetId,
    })
    // Straight to the file descriptor: a line that is out is out, even if the process is killed in the next instant.
    if (refusal === null) writeSync(1, `t/${i} ${kind}\n`)
    if (kind === 'qos2') alice.link.pubrel(packetId)
  }
}

await Promise.all(Array.from({ length: PIPELINED }, (_, i) => publishFrom(i)))
