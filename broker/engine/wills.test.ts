import { expect, test, vi } from 'vitest'
import type { Will } from '../gate/codec/decode-connect.ts'
import { EngineWorld } from './testing/engine-world.ts'

const WILL: Will = {
  topic: 'u/alice/own/state',
  payload: Buffer.from('gone'),
  qos: 1,
  retain: true,
  properties: {},
}
const DELAYED: Will = { ...WILL, properties: { willDelayInterval: 1, contentType: 'text/plain' } }

async function startWithWatcher() {
  const world = await EngineWorld.start()
  const watcher = world.device('alice/watcher')
  await watcher.subscribe('u/alice/own/#', 1)
  return { world, watcher }
}

test('a will is published when the connection is lost, and only then', async () => {
  const { world, watcher } = await startWithWatcher()
  await using _ = world
  const clean = world.device('alice/phone', { will: WILL })
  await clean.link.ready
  await clean.detach(false)
  expect(watcher.texts).toEqual([])
  const lost = world.device('alice/phone', { will: WILL })
  await lost.link.ready
  await lost.detach(true)
  await vi.waitFor(() => expect(watcher.texts).toEqual(['gone']))
  const late = world.device('alice/late')
  await late.subscribe('u/alice/own/#', 1)
  await vi.waitFor(() => expect(late.received).toMatchObject([{ retain: true }]))
})

test('a delayed will is published after its delay, and not when the session goes on before', async () => {
  const { world, watcher } = await startWithWatcher()
  await using _ = world
  const lost = world.device('alice/phone', { will: DELAYED })
  await lost.link.ready
  await lost.detach(true)
  expect(world.engine.metrics.delayedWills).toBe(1)
  world.engine.connected('alice/phone', false)
  await vi.waitFor(() => expect(world.engine.metrics.delayedWills).toBe(0))
  const again = world.device('alice/phone', { will: DELAYED })
  await again.link.ready
  const lostAt = Date.now()
  await again.detach(true)
  expect(watcher.texts).toEqual([])
  await vi.waitFor(() => expect(watcher.texts).toEqual(['gone']), 5000)
  expect(Date.now() - lostAt).toBeGreaterThan(900)
  expect(watcher.received[0]?.properties).toEqual({ contentType: 'text/plain' })
})

test('the end of the session ends the delay of its will', async () => {
  const { world, watcher } = await startWithWatcher()
  await using _ = world
  const long: Will = { ...WILL, properties: { willDelayInterval: 1000 } }
  for (const end of [
    () => world.engine.endSession('alice/phone'),
    async () => world.engine.connected('alice/phone', true),
  ]) {
    const lost = world.device('alice/phone', { will: long })
    await lost.link.ready
    await lost.detach(true)
    expect(watcher.texts).toEqual([])
    await end()
    await vi.waitFor(() => expect(watcher.texts).toEqual(['gone']))
    watcher.received.length = 0
  }
  const short = world.device('alice/phone', { will: long, sessionExpirySeconds: 0, cleanStart: true })
  await short.link.ready
  await short.detach(true)
  await vi.waitFor(() => expect(watcher.texts).toEqual(['gone']))
})

test('a delay that runs while the server is stopped is kept', async () => {
  const { world, watcher } = await startWithWatcher()
  await using _ = world
  await watcher.detach()
  const lost = world.device('alice/phone', { will: DELAYED })
  await lost.link.ready
  await lost.detach(true)
  await world.restart()
  const again = world.device('alice/watcher')
  await vi.waitFor(() => expect(again.texts).toEqual(['gone']), 5000)
  await world.restart()
  const later = world.device('alice/watcher')
  await later.link.ready
  expect(later.texts).toEqual([])
})

test('a takeover publishes the will of the connection that it ends', async () => {
  const { world, watcher } = await startWithWatcher()
  await using _ = world
  const first = world.device('alice/phone', { will: WILL })
  await first.link.ready
  const second = world.device('alice/phone', { will: { ...WILL, payload: Buffer.from('second') } })
  await second.link.ready
  await vi.waitFor(() => expect(watcher.texts).toEqual(['gone']))
  await second.detach(true)
  await vi.waitFor(() => expect(watcher.texts).toEqual(['gone', 'second']))
})
