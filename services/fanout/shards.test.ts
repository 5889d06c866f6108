import { expect, test } from 'vitest'
import { ownerOf, shardOf, shardsOf } from './shards.ts'

const workers = (count: number) => Array.from({ length: count }, (_, i) => `fanout-${i}.1a2b3c4d`)

test('every shard has exactly one of the live workers', () => {
  const live = workers(5)
  const owned = live.flatMap((worker) => shardsOf(worker, live, 64))
  expect(owned.sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i))
})

test('a worker that is not among the live ones has no shard', () => {
  expect(shardsOf('gone', workers(3), 64)).toEqual([])
  expect(ownerOf(0, [])).toBeUndefined()
})

test('two processes that list the workers in another order agree', () => {
  const live = workers(7)
  for (let shard = 0; shard < 128; shard++)
    expect(ownerOf(shard, live.toReversed())).toBe(ownerOf(shard, live))
})

test('a worker that dies gives away its shards, and no other shard moves', () => {
  const live = workers(6)
  const rest = live.filter((worker) => worker !== live[2])
  for (let shard = 0; shard < 256; shard++) {
    const before = ownerOf(shard, live)
    if (before !== live[2]) expect(ownerOf(shard, rest)).toBe(before)
  }
})

test('shards are shared fairly by workers whose names are alike', () => {
  const live = workers(8)
  const shares = live.map((worker) => shardsOf(worker, live, 1024).length)
  // 128 each on average; a binomial spread of 10.6, and six of them as the bound.
  for (const share of shares) expect(Math.abs(share - 128)).toBeLessThan(64)
})

test('the shards of 100,000 groups are equally full', () => {
  const counts = new Array<number>(16).fill(0)
  for (let i = 0; i < 100_000; i++) {
    const shard = shardOf(`g:group${i}`, 16)
    counts[shard] = counts[shard]! + 1
  }
  for (const count of counts) expect(Math.abs(count - 6250)).toBeLessThan(6250 * 0.1)
})
