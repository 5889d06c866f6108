import { expect, it } from 'vitest'
import { RateLimiter } from './rate-limiter.ts'

it('a key may take its burst at once and then as much as its rate gives', () => {
  let now = 0
  const limiter = new RateLimiter({ perSecond: 10, burst: 3 }, () => now)
  expect([1, 2, 3].map(() => limiter.take('a'))).toEqual([0, 0, 0])
  expect(limiter.take('a')).toBe(100)
  now = 99
  expect(limiter.take('a')).toBeGreaterThan(0)
  now = 100
  expect(limiter.take('a')).toBe(0)
  expect(limiter.take('a')).toBe(100)
})

it('keys do not share, and a quiet key never has more than its burst', () => {
  let now = 0
  const limiter = new RateLimiter({ perSecond: 1, burst: 1 }, () => now)
  expect(limiter.take('a')).toBe(0)
  expect(limiter.take('b')).toBe(0)
  now = 1_000_000
  expect(limiter.take('a')).toBe(0)
  expect(limiter.take('a')).toBe(1000)
})

it('a rate of 0 is no limit', () => {
  const limiter = new RateLimiter({ perSecond: 0, burst: 0 })
  for (let i = 0; i < 1000; i++) expect(limiter.take('a')).toBe(0)
})

it('forgets the key that was quiet the longest when there are too many', () => {
  const limiter = new RateLimiter({ perSecond: 0.001, burst: 1 }, () => 0)
  limiter.take('old')
  limiter.take('busy')
  for (let i = 0; i < 99_998; i++) limiter.take(`k${i}`)
  expect(limiter.take('busy')).toBeGreaterThan(0)
  limiter.take('one more')
  expect(limiter.take('old')).toBe(0)
  expect(limiter.take('busy')).toBeGreaterThan(0)
})
