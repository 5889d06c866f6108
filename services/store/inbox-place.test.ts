import { describe, expect, test } from 'vitest'
import type { LogId } from '../../protocol/ids.ts'
import {
  isBehind,
  isOfAnotherLife,
  pendingOf,
  placeKnown,
  placeRestored,
  type VisibleLog,
} from './inbox-place.ts'

const log = { n: 1, name: 'g:x' as LogId, epoch: 2, head: 100, from: 1, visible: 100, open: 1 }
const at = (cursor: number | null, cursorEpoch = 2, more: Partial<VisibleLog> = {}): VisibleLog => ({
  ...log,
  cursor,
  cursorEpoch,
  ...more,
})

describe('the place of a session in a log', () => {
  test.each([
    ['is its cursor', at(90), { cursor: 90, head: 100, gap: null }, 10],
    [
      'is the start of the window where it has no cursor',
      at(null, 2, { from: 95 }),
      { cursor: 94, head: 100, gap: null },
      6,
    ],
    [
      'has a gap above the longest backlog',
      at(10),
      { cursor: 10, head: 100, gap: { to: 80, reason: 'backlog' } },
      20,
    ],
  ])('%s', (_, row, place, pending) => {
    expect(isOfAnotherLife(row)).toBe(false)
    const found = placeKnown(row, 20)
    expect(found).toEqual({ log: log.name, epoch: 'k2', ...place })
    expect([isBehind(found), pendingOf(found)]).toEqual([true, pending])
  })

  test('has nothing more after a window that was closed before the cursor', () => {
    expect(isBehind(placeKnown(at(90, 2, { visible: 50, open: 0 }), 20))).toBe(false)
  })

  test.each([
    ['whose cursor is of an earlier life', at(90, 1), 90],
    ['that has lost what the cursor had', at(150), 100],
  ])('in a log %s is told as restored, with the entry of the cursor again', (_, row, to) => {
    expect(isOfAnotherLife(row)).toBe(true)
    const place = placeRestored(row, 3)
    expect(place).toEqual({
      log: log.name,
      epoch: 'k3',
      cursor: to - 1,
      head: 100,
      gap: { to, reason: 'restored' },
    })
    expect([isBehind(place), pendingOf(place)]).toEqual([true, 100 - to])
  })
})
