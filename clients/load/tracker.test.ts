import { describe, expect, test } from 'vitest'
import { Tracker } from './tracker.ts'

function tracked(sequences: number[]): Tracker {
  const tracker = new Tracker(1)
  for (const sequence of sequences) tracker.record(0, sequence)
  return tracker
}

describe('a stream', () => {
  test('that arrives complete and in order has no fault', () => {
    expect(tracked([1, 2, 3, 4])).toMatchObject({ delivered: 4, duplicates: 0, outOfOrder: 0, holes: 0 })
  })

  test('with a message lost in the middle delivers one less and keeps a hole', () => {
    expect(tracked([1, 2, 4, 5])).toMatchObject({ delivered: 4, duplicates: 0, outOfOrder: 0, holes: 1 })
  })

  test('that starts late keeps a hole for each message before', () => {
    expect(tracked([4])).toMatchObject({ delivered: 1, holes: 3 })
  })

  test('with the last message repeated has a duplicate', () => {
    expect(tracked([1, 2, 2])).toMatchObject({ delivered: 2, duplicates: 1, outOfOrder: 0 })
  })

  test('with an old message repeated has a duplicate, however old', () => {
    const all = Array.from({ length: 5000 }, (_, index) => index + 1)
    expect(tracked([...all, 1])).toMatchObject({ delivered: 5000, duplicates: 1, outOfOrder: 0 })
  })

  test('with two messages swapped is out of order and loses nothing', () => {
    expect(tracked([1, 3, 2, 4])).toMatchObject({ delivered: 4, duplicates: 0, outOfOrder: 1, holes: 0 })
  })

  test('with a late message that comes twice is out of order once and duplicated once', () => {
    expect(tracked([1, 3, 2, 2])).toMatchObject({ delivered: 3, duplicates: 1, outOfOrder: 1, holes: 0 })
  })
})

test('streams are judged apart', () => {
  const tracker = new Tracker(2)
  expect(tracker.record(0, 1)).toBe(true)
  expect(tracker.record(1, 1)).toBe(true)
  expect(tracker.record(0, 1)).toBe(false)
  expect(tracker).toMatchObject({ delivered: 2, duplicates: 1 })
})

describe('after a cut connection', () => {
  test('what was delivered may come once more, in order and before anything new', () => {
    const tracker = tracked([1, 2, 3])
    tracker.allowRepeats(0)
    for (const sequence of [2, 3, 4]) tracker.record(0, sequence)
    expect(tracker).toMatchObject({ delivered: 4, repeated: 2, duplicates: 0, outOfOrder: 0 })
  })

  test.each([
    ['twice', [3, 3]],
    ['in another order', [3, 2]],
    ['after something new', [4, 3]],
  ])('what comes %s is a duplicate', (_, after) => {
    const tracker = tracked([1, 2, 3])
    tracker.allowRepeats(0)
    for (const sequence of after) tracker.record(0, sequence)
    expect(tracker.duplicates).toBe(1)
  })
})
