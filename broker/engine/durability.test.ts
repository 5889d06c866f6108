import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { createEngine } from './engine.ts'
import { ENGINE_SETTINGS } from './testing/engine-settings.ts'
import { PlainDevice } from './testing/plain-device.ts'
import { TempStore } from './testing/temp-store.ts'

const PUBLISHED_MIN = 1500

test('every message that was acknowledged is there after kill -9, for the queue of who was away and as retained, and the will is published', {
  timeout: 60_000,
}, async () => {
  await using temp = new TempStore()
  const log = pino({ level: 'silent' })
  const before = await createEngine({ store: await temp.open(), log, settings: ENGINE_SETTINGS })
  const away = new PlainDevice(before, 'bob/phone')
  await away.subscribe('t/#', 2)
  await away.subscribe('wills', 1)
  await away.detach()
  await before.close()
  await temp.close()

  const acknowledged = await publishUntilKilled(temp.folder)
  const engine = await createEngine({ store: await temp.open(), log, settings: ENGINE_SETTINGS })
  const bob = new PlainDevice(engine, 'bob/phone')
  await vi.waitFor(() => expect(bob.texts).toContain('gone'), 30_000)
  await vi.waitFor(() => expect(bob.link.inflight).toBe(0), 30_000)
  const topics = bob.received.filter(({ topic }) => topic !== 'wills').map(({ topic }) => topic)
  expect(new Set(topics).size).toBe(topics.length)
  expect(acknowledged.filter(([topic]) => !topics.includes(topic))).toEqual([])

  const late = new PlainDevice(engine, 'eve/phone')
  await late.subscribe('t/#', 1)
  const retained = acknowledged.filter(([, kind]) => kind === 'retained').map(([topic]) => topic)
  await vi.waitFor(() => {
    const got = new Set(late.received.map(({ topic }) => topic))
    expect(retained.filter((topic) => !got.has(topic))).toEqual([])
  }, 30_000)
  await engine.close()
})

/** Topic and kind of what the process said was decided. */
async function publishUntilKilled(folder: string): Promise<[string, string][]> {
  const script = new URL('./testing/killed-publisher.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk
    if (said.split('\n').length > PUBLISHED_MIN) child.kill('SIGKILL')
  })
  await once(child, 'close')
  expect(child.signalCode).toBe('SIGKILL')
  const lines = said.slice(0, said.lastIndexOf('\n')).split('\n')
  return lines.map((line) => line.split(' ') as [string, string])
}
