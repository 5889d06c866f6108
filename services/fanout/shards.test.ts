import { expect, test } from 'vitest'
import { ownersOf, shardOf, shardsOf } from './shards.ts'

const workers = (count: number) => Array.from({ length: count }, (_, i) => `fanout-${i}.1a2b3c4d`)

test('every shard has exactly one of the live workers', () => {
  const live = workers(5)
  const owned = live.flatMap((worker) => shardsOf(worker, live, 64))
  expect(owned.sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i))
})

test('a worker that is not among the live ones has no shard', () => {
  expect(shardsOf('gone', workers(3), 64)).toEqual([])
  expect(ownersOf([], 64)).toEqual([])
})

test('two processes that list the workers in another order agree', () => {
  const live = workers(7)
  expect(ownersOf(live.toReversed(), 128)).toEqual(ownersOf(live, 128))
})

test('no worker has more than an equal part, rounded up', () => {
  for (const [count, shards] of [
    [3, 16],
    [4, 16],
    [8, 1024],
    [20, 16],
  ] as const) {
    const live = workers(count)
    const shares = live.map((worker) => shardsOf(worker, live, shards).length)
    expect(Math.max(...shares)).toBe(Math.ceil(shards / count))
  }
})

test('most shards stay where they are when a worker comes or goes', () => {
  const live = workers(16)
  const rest = live.filter((worker) => worker !== live[5])
  const before = ownersOf(live, 256)
  const after = ownersOf(rest, 256)
  const moved = before.filter((owner, shard) => owner !== after[shard]).length
  expect(moved).toBeGreaterThanOrEqual(16)
  expect(moved).toBeLessThan(256 / 4)
})

test('the shards of 100,000 groups are equally full', () => {
  const counts = new Array<number>(16).fill(0)
  for (let i = 0; i < 100_000; i++) {
    const shard = shardOf(`g:group${i}`, 16)
    counts[shard] = counts[shard]! + 1
  }
  for (const count of counts) expect(Math.abs(count - 6250)).toBeLessThan(6250 * 0.1)
})
