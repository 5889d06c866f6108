import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { acceptsConnections, Child, findFreePorts } from './child.ts'
import { type GeneratorOptions, type GeneratorResult, ownGenerator } from './generator.ts'

const PEERS = path.join(import.meta.dirname, 'peers')
const SHORT: GeneratorOptions = { groups: 4, subs: 3, warmup: 0.1, seconds: 1, drain: 0.5, settle: 0.1 }

const generate = ownGenerator(undefined)

async function startPeer(script: string, ...args: string[]) {
  const [port] = await findFreePorts(1)
  const command = [process.execPath, path.join(PEERS, script), String(port), ...args]
  const child = new Child({ name: script, command })
  await child.waitUntilReady(() => acceptsConnections(port!))
  return { port: port!, pid: child.pid, child, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() }
}

async function runAgainst(fault: string, every = 100): Promise<GeneratorResult> {
  await using broker = await startPeer('faulty.ts', fault, String(every))
  return await generate('flow', { port: broker.port, ...SHORT })
}

describe('a broker that keeps its promise', () => {
  test('passes, and everything sent is delivered to every subscriber', async () => {
    const result = await runAgainst('none')
    expect(result).toMatchObject({ ok: true, problems: [], lost: 0, duplicates: 0, outOfOrder: 0, stray: 0 })
    expect(result.delivered).toBe(Number(result.sent) * 3)
    expect(result.sent).toBeGreaterThan(100)
  })
})

describe('a broker that', () => {
  test('drops every 1000th delivery is reported for loss', async () => {
    const result = await runAgainst('drop', 1000)
    expect(result).toMatchObject({ ok: false, duplicates: 0, outOfOrder: 0 })
    expect(result.lost).toBeGreaterThan(0)
  })

  test('repeats a delivery is reported for duplicates', async () => {
    const result = await runAgainst('duplicate')
    expect(result).toMatchObject({ ok: false, lost: 0, outOfOrder: 0 })
    expect(result.duplicates).toBeGreaterThan(0)
  })

  test('lets a delivery overtake another is reported for order', async () => {
    const result = await runAgainst('swap')
    expect(result).toMatchObject({ ok: false, duplicates: 0 })
    expect(result.outOfOrder).toBeGreaterThan(0)
  })

  test('also delivers to somebody else is reported for that', async () => {
    const result = await runAgainst('misdeliver')
    expect(result).toMatchObject({ ok: false, lost: 0, duplicates: 0 })
    expect(result.stray).toBeGreaterThan(0)
  })

  test('ends in the middle is reported as a lost connection', async () => {
    await using broker = await startPeer('faulty.ts', 'none', '1')
    const running = generate('flow', { port: broker.port, ...SHORT, seconds: 20 })
    await broker.child.waitUntilReady(() => broker.child.standardOutput.includes('flowing'))
    await broker[Symbol.asyncDispose]()
    const result = await running
    expect(result.ok).toBe(false)
    expect(result.problems[0]).toMatch(/connection \d+ lost/)
  })

  test('is not there is reported as such', async () => {
    const [port] = await findFreePorts(1)
    const result = await generate('flow', { port: port!, ...SHORT })
    expect(result).toMatchObject({ ok: false, problems: [expect.stringContaining('ECONNREFUSED')] })
  })
})

describe('against plain Aedes', () => {
  test('flow passes on MQTT 5', async () => {
    await using broker = await startPeer('aedes.ts')
    expect(await generate('flow', { port: broker.port, ...SHORT, v5: true })).toMatchObject({
      ok: true,
      lost: 0,
    })
  })

  test('latency sends nothing before it is due', async () => {
    await using broker = await startPeer('aedes.ts')
    const rate = 500
    const startedAt = performance.now()
    const result = await generate('latency', { port: broker.port, ...SHORT, subs: 1, rate, seconds: 1 })
    const due = 1 + (rate * (performance.now() - startedAt)) / 1000
    expect(result).toMatchObject({ ok: true, rate, lost: 0 })
    expect(result.sent).toBeGreaterThan(0)
    expect(result.sent).toBeLessThanOrEqual(due)
  })

  test('storm connects every device and tells what one weighs', async () => {
    await using broker = await startPeer('aedes.ts')
    const result = await generate('storm', {
      port: broker.port,
      devices: 300,
      persistent: true,
      pids: String(broker.pid),
    })
    expect(result).toMatchObject({ ok: true, connectMs: { count: 300 } })
    expect(result.kbPerDevice).toBeGreaterThan(0)
  })

  test('offline delivers to every device what came while it was away, also in two processes', async () => {
    await using broker = await startPeer('aedes.ts')
    const topics = { pubTopic: 'load/{t}', subTopic: 'load/{s}' }
    const options = {
      port: broker.port,
      ...topics,
      devices: 50,
      messages: 7,
      pubs: 5,
      run: 'abcd',
      settle: 0.1,
    }
    const away = await generate('offline', { ...options, phases: 'prepare,enqueue' })
    expect(away).toMatchObject({ ok: true, sent: 350, acked: 350 })
    const back = await generate('offline', { ...options, phases: 'drain' })
    expect(back).toMatchObject({ ok: true, delivered: 350, drain: { sessionsPresent: 50 } })
  })
})

describe('failover', () => {
  const people = { pubTopic: 'load/{t}', subTopic: 'load/{s}', devices: 50, staying: 10, pubs: 5, rate: 500 }

  test('brings every device back and counts what is lost with sessions that only the dead node had', async () => {
    await using dying = await startPeer('aedes.ts')
    await using other = await startPeer('aedes.ts')
    const result = await generate('failover', {
      ...people,
      port: other.port,
      subPorts: String(dying.port),
      failoverPorts: String(other.port),
      kill: dying.pid,
      warmup: 0.2,
      drain: 0.5,
    })
    expect(result).toMatchObject({ ok: false, duplicates: 0, outOfOrder: 0, sessionsPresent: 0 })
    expect(result.lost).toBeGreaterThan(0)
    expect(result.backSeconds).toBeGreaterThan(0)
    expect(result.problems).toContain('50 sessions were not there any more')
  })
})
