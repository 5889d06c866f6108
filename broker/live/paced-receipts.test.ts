import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { LogId, UserId } from '../../protocol/ids.ts'
import { LiveDelivery } from './live-delivery.ts'
import { readLiveFrame } from './live-frame.ts'
import { LiveRooms } from './live-rooms.ts'
import { PacedReceipts, RECEIPTS_WAITING_MAX } from './paced-receipts.ts'

const READER = 'reader' as UserId
const authorOf = (i: number) => `a${i}` as UserId
const logOf = (i: number) => `d:${authorOf(i)}:${READER}` as LogId

let rooms: LiveRooms
/** What other nodes get: the seq of each log. */
let told: Map<string, number>
let receipts: PacedReceipts

beforeEach(() => {
  vi.useFakeTimers()
  told = new Map()
  rooms = new LiveRooms({ watch: async () => {}, unwatch() {} })
  const signal = (_: object, bytes: Buffer) => {
    const { payload } = readLiveFrame(bytes) as { payload: Buffer }
    const { log, seq } = JSON.parse(String(payload)) as { log: string; seq: number }
    expect(told.get(log) ?? 0).toBeLessThan(seq)
    told.set(log, seq)
  }
  receipts = new PacedReceipts(
    new LiveDelivery({ eachOfUser() {}, membersOf: () => new Set() }, { signal }, rooms),
  )
})

afterEach(() => {
  receipts[Symbol.dispose]()
  rooms[Symbol.dispose]()
  vi.useRealTimers()
})

/** Long enough for whatever may wait. */
const tellAll = () => vi.advanceTimersByTime(60_000)

const deliver = (i: number, seq: number) =>
  receipts.tell(authorOf(i), { kind: 'delivered', from: READER, log: logOf(i), seq })

test('all authors hear of what a device acknowledges at once, some of them a little later', () => {
  for (let i = 0; i < 1000; i++) deliver(i, 1)
  const atOnce = told.size
  expect(atOnce).toBeGreaterThan(0)
  expect(atOnce).toBeLessThan(1000)
  tellAll()
  expect(told.size).toBe(1000)
  expect(receipts.dropped).toBe(0)
})

test('of what waits, an author hears the newest alone', () => {
  for (const seq of [1, 3, 2]) for (let i = 0; i < 600; i++) deliver(i, seq)
  tellAll()
  expect(told.get(logOf(599))).toBe(3)
})

test('what waits is bounded, and what was given up is counted', () => {
  const all = RECEIPTS_WAITING_MAX + 2000
  for (let i = 0; i < all; i++) deliver(i, 1)
  tellAll()
  expect(receipts.dropped).toBeGreaterThan(0)
  expect(told.size + receipts.dropped).toBe(all)
  expect(told.get(logOf(all - 1))).toBe(1)
})
