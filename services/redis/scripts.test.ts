/**
 * The header of a Lua script is its signature: its body uses the keys and arguments that the header says, and the class
 * that calls it gives them. What is given is read from Redis itself, which tells of every command.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { startRedis } from '../../test/harness/redis.ts'
import { until } from '../../test/harness/wait.ts'
import { endWorkerLease, renewWorkerLease } from '../fanout/worker-lease.ts'
import { Keys } from './keys.ts'
import { NodeList } from './node-list.ts'
import { PresenceKeys } from './presence.ts'
import { RedisClient } from './redis.ts'
import { Routes } from './routes.ts'
import { SharedRateLimiter } from './shared-rate-limiter.ts'
import { Watchers } from './watchers.ts'

const FOLDERS = ['scripts/', '../fanout/scripts/'].map((folder) => new URL(folder, import.meta.url))
const SCRIPTS = FOLDERS.flatMap((folder) =>
  readdirSync(folder).map((file) => ({ file, text: readFileSync(new URL(file, folder), 'utf8') })),
)

type Signature = {
  /** `many`: one for each thing that it is called for. */
  keys: number | 'many'
  /** Arguments that come once. */
  once: number
  /** Arguments for each key, after those. */
  perKey: number
}

/** The comment at the top, and what follows without comments. */
function splitScript(text: string): { header: string; body: string } {
  const lines = text.split('\n')
  const end = lines.findIndex((line) => !line.startsWith('--'))
  const body = lines.slice(end).map((line) => line.replace(/--.*$/, ''))
  return { header: lines.slice(0, end).join('\n'), body: body.join('\n') }
}

const numbersOf = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map((match) => Number(match[1]))

/** Throws when a number is left out, or comes twice. */
function countOf(numbers: readonly number[], what: string): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  sorted.forEach((number, i) => {
    if (number !== i + 1) throw new Error(`${what}[${number}] stands where ${what}[${i + 1}] should`)
  })
  return sorted.length
}

/** As the header says: `KEYS[i]` for many, and `ARGV[first + count(i-1)]` for what comes with each of them. */
function describedBy(header: string): Signature {
  const once = countOf(numbersOf(header, /\bARGV\[(\d+)\]/g), 'ARGV')
  const [, first, perKey] = /\bARGV\[(\d+) \+ (\d+)\(i-1\)\]/.exec(header) ?? []
  if (first !== undefined) expect(Number(first), 'where the arguments per key begin').toBe(once + 1)
  const isMany = /\bKEYS\[i\]/.test(header)
  const keys = isMany ? 'many' : countOf(numbersOf(header, /\bKEYS\[(\d+)\]/g), 'KEYS')
  return { keys, once, perKey: Number(perKey ?? 0) }
}

/** As the body does it: over many keys it walks with `first + (i - 1) * count`, and takes `ARGV[at + n]`. */
function usedBy(body: string): Signature {
  const distinct = (pattern: RegExp) => [...new Set(numbersOf(body, pattern))]
  const once = countOf(distinct(/\bARGV\[(\d+)\]/g), 'ARGV')
  const isMany = /\bfor i = 1, #KEYS do/.test(body)
  const keys = isMany ? 'many' : countOf(distinct(/\bKEYS\[(\d+)\]/g), 'KEYS')
  const [, first, step] = /\b(\d+) \+ \(i - 1\) \* (\d+)/.exec(body) ?? []
  if (first === undefined) return { keys, once, perKey: 0 }
  expect(Number(first), 'where the arguments per key begin').toBe(once + 1)
  const perKey = 1 + countOf(distinct(/\bARGV\[at \+ (\d+)\]/g), 'ARGV[at + ...]')
  expect(Number(step), 'the step from one key to the next').toBe(perKey)
  return { keys, once, perKey }
}

test.for(SCRIPTS.map(({ file, text }) => [file, text] as const))(
  '%s: header and body say the same',
  ([file, text]) => {
    const { header, body } = splitScript(text)
    expect(header.split('\n')[0]).toMatch(new RegExp(`^-- ${file.replace('.lua', '')}: \\w`))
    expect(header).toMatch(/^-- Atomic because: \w/m)
    expect(header).toMatch(/^-- returns \S/m)
    expect(usedBy(body)).toEqual(describedBy(header))
  },
)

test('a header that says too little, and a body that takes too much, would be found', () => {
  const header = '-- KEYS[i] a     \n-- ARGV[1] b     ARGV[2 + 2(i-1)] c, then d'
  const body =
    'for i = 1, #KEYS do\n local at = 2 + (i - 1) * 2\n f(KEYS[i], ARGV[1], ARGV[at], ARGV[at + 1])\nend'
  expect(usedBy(body)).toEqual(describedBy(header))
  expect(usedBy(body.replace('#KEYS', '1'))).not.toEqual(describedBy(header))
  expect(() => usedBy(body.replace('ARGV[1]', 'x'))).toThrow('begin')
  expect(() => usedBy(`${body} f(ARGV[at + 2])`)).toThrow('step')
  expect(() => describedBy(header.replace('ARGV[1]', 'ARGV[2]'))).toThrow(
    'ARGV[2] stands where ARGV[1] should',
  )
})

test('who calls a script gives what its header says, for one thing and for three', async () => {
  await using redis = await startRedis()
  await using client = new RedisClient({ url: redis.url, name: 'test', log: pino({ level: 'silent' }) })
  await client.untilReady(5000)
  const calls = new Map<string, { keys: number; args: number }[]>()
  const monitor = await watchScripts(redis.url, calls)
  try {
    for (const count of [1, 3]) await callAll(client, count)
    await until(
      () => SCRIPTS.every(({ file }) => (calls.get(file)?.length ?? 0) >= 2),
      'each script to be called',
    )
  } finally {
    monitor.disconnect()
  }
  for (const { file, text } of SCRIPTS) {
    const { keys, once, perKey } = describedBy(splitScript(text).header)
    const counts = calls.get(file)!.map((call) => call.keys)
    expect(new Set(counts), file).toEqual(new Set(keys === 'many' ? [1, 3] : [keys]))
    for (const call of calls.get(file)!) expect(call.args, file).toBe(once + perKey * call.keys)
  }
})

/** Notes of each call of a script how many keys and arguments it was given. */
async function watchScripts(
  url: string,
  calls: Map<string, { keys: number; args: number }[]>,
): Promise<Redis> {
  const fileOf = new Map(
    SCRIPTS.map(({ file, text }) => [createHash('sha1').update(text).digest('hex'), file]),
  )
  const connection = new Redis(url)
  const monitor = await connection.monitor()
  connection.disconnect()
  monitor.on('monitor', (_time: string, [command, digest, keys, ...rest]: string[]) => {
    const file = command?.toLowerCase() === 'evalsha' ? fileOf.get(digest!) : undefined
    if (file === undefined) return
    const call = { keys: Number(keys), args: rest.length - Number(keys) }
    calls.set(file, [...(calls.get(file) ?? []), call])
  })
  return monitor
}

/** What every class does by a script, for so many people, devices or groups. */
async function callAll(client: RedisClient, count: number): Promise<void> {
  const keys = new Keys('scripts')
  const uids = Array.from({ length: count }, (_, i) => `u${i}` as UserId)

  const nodes = new NodeList(client, keys)
  await nodes.announce('n1', '{}', 1000, '')
  await nodes.leave('n1')

  const routes = new Routes(client, keys)
  const device = 'phone' as DeviceId
  const claims = uids.map((uid) => ({ uid, device, session: null, generation: 1, order: 0 }))
  const answers = await routes.claim('n1', claims)
  await routes.release(
    'n1',
    claims.map((claim, i) => ({ ...claim, order: answers[i]!.order })),
  )

  const presence = new PresenceKeys(client, keys)
  await presence.put(
    'n1',
    uids.map((uid) => [uid, { state: 'online', at: 1, n: 1 }] as const),
  )
  await presence.read('n1', uids, { follow: true })
  await presence.unfollow('n1', uids)

  const groups = uids.map((uid) => `g:${uid}` as LogId)
  await new Watchers(client, keys).add(groups, { node: 'n1', lease: 1 }, null)
  await new SharedRateLimiter(client, keys, 'account', { perSecond: 1, burst: 5 }).take('u0')
  await renewWorkerLease(client, keys, 'n1')
  await endWorkerLease(client, keys, 'n1')
}
