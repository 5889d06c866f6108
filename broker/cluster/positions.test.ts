import { expect, test } from 'vitest'
import { Positions } from './positions.ts'

const EVERY_MS = 2000
const LIFE_MS = 6 * 3_600_000

/** Positions that say when they were noted, one every two seconds for a time. */
function notedFor(ms: number): Positions {
  const positions = new Positions('0', 0)
  for (let at = EVERY_MS; at <= ms; at += EVERY_MS) positions.note(String(at), at)
  return positions
}

test('for a loss of any age there is a position before it, hardly older than it must be', () => {
  const now = LIFE_MS
  const positions = notedFor(now)
  for (const ageMs of [0, 100, 5000, 60_000, 91_000, 138_000, 3_600_000, LIFE_MS / 2, LIFE_MS - 1]) {
    const at = Number(positions.before(now - ageMs))
    expect(at).toBeLessThanOrEqual(now - ageMs)
    expect(now - at).toBeLessThanOrEqual(ageMs + Math.max(2 * EVERY_MS, ageMs / 4))
  }
})

test('for a loss from before the first position there is the first', () => {
  expect(notedFor(LIFE_MS).before(-1)).toBe('0')
})

test('a node that lives for long keeps few of them', () => {
  expect(notedFor(LIFE_MS).size).toBeLessThan(150)
})
