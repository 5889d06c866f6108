import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Histogram } from './histogram.ts'

function histogramOf(values: number[]): Histogram {
  const histogram = new Histogram()
  for (const value of values) histogram.record(value)
  return histogram
}

test('an empty histogram has zero everywhere', () => {
  expect(histogramOf([]).summaryMs()).toEqual({ count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 })
})

test('values below 128 microseconds are kept exactly', () => {
  const histogram = histogramOf(Array.from({ length: 100 }, (_, index) => index + 1))
  expect([histogram.percentile(0.5), histogram.percentile(0.99), histogram.max]).toEqual([50, 99, 100])
})

test('the highest percentile is the maximum itself, not the bound of its bucket', () => {
  expect(histogramOf([10, 1_234_567]).percentile(1)).toBe(1_234_567)
})

test('a percentile is below the true one by less than 0.8 percent', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const sorted = values.toSorted((a, b) => a - b)
        const exact = sorted[Math.max(Math.ceil(share * sorted.length), 1) - 1]!
        const found = histogramOf(values).percentile(share)
        expect(found).toBeLessThanOrEqual(exact)
        expect(found).toBeGreaterThanOrEqual(exact * (1 - 0.008))
      },
    ),
  )
})

test('a value beyond half an hour and a negative one are counted at the ends', () => {
  const histogram = histogramOf([-5, 2 ** 40])
  expect([histogram.count, histogram.percentile(0.5), histogram.max]).toEqual([2, 0, 2 ** 31 - 1])
})
