/** What docs/scaling.md claims, and that its tables are those that the scripts compute. */
import { expect, test } from 'vitest'
import { computeCapacity } from './capacity.ts'
import { simulateGroup, simulateWorkers } from './doorbells.ts'
import { fillPaper, readPaper } from './paper.ts'

test('the tables of the paper are those that the scripts compute (npx node test/simulation/capacity.ts --write)', () => {
  expect(readPaper()).toBe(fillPaper(readPaper()))
  expect(readPaper().match(/<!-- table /g)).toHaveLength(6)
})

test('the cost of a group message does not grow with members that are offline', () => {
  const of = (size: number) => simulateGroup({ nodes: 1000, size, onlineShare: 50 / size })
  const small = of(200)
  const large = of(100_000)
  expect(small.commands).toBeGreaterThan(30)
  expect(Math.abs(large.commands - small.commands) / small.commands).toBeLessThan(0.15)
  expect(Math.abs(large.heard - small.heard) / small.heard).toBeLessThan(0.15)
})

test('a broadcast caps the commands of a worker at one, and each node hears a message at most once', () => {
  for (const nodes of [10, 100, 1000]) {
    const huge = simulateGroup({ nodes, size: 100_000, onlineShare: 0.5 })
    expect(huge).toMatchObject({ commands: 1, broadcastShare: 1, heard: nodes - 1 })
  }
})

test('commands are never more than nodes with a member, nor than half of all nodes and the few of a small cluster', () => {
  for (const nodes of [2, 10, 100, 1000]) {
    for (const size of [2, 100, 1000, 10_000]) {
      for (const onlineShare of [0.01, 0.1, 0.5]) {
        const { commands, watchers } = simulateGroup({ nodes, size, onlineShare })
        expect(commands).toBeLessThanOrEqual(watchers)
        expect(commands).toBeLessThanOrEqual(Math.max(8, nodes / 2))
      }
    }
  }
})

test('a doorbell of a group that is not broadcast is never heard in vain', () => {
  expect(simulateGroup({ nodes: 1000, size: 1000, onlineShare: 0.1 })).toMatchObject({
    broadcastShare: 0,
    heardInVain: 0,
  })
})

test('with four shards a worker or more, the busiest has at most a tenth more than an equal part', () => {
  for (const [workers, shards] of [
    [2, 16],
    [4, 16],
    [16, 64],
    [64, 1024],
  ] as const)
    expect(simulateWorkers(workers, shards).busiest).toBeLessThan(1.1)
})

test('connections, not messages, give the number of nodes; PostgreSQL is the first that one server cannot do', () => {
  const million = computeCapacity(1e6)
  expect(million.brokerCores).toBeLessThan(2)
  expect(million).toMatchObject({ nodes: 20, workers: 2, redisShards: 1, databases: 1 })
  const tenMillion = computeCapacity(1e7)
  expect(tenMillion.databases).toBeGreaterThan(1)
  const hundredMillion = computeCapacity(1e8)
  expect(hundredMillion.redisListShare).toBeGreaterThan(1)
  expect(hundredMillion.databases).toBeGreaterThan(10)
  // N² heartbeats: ten times the nodes are more than ten times the heartbeats.
  expect(hundredMillion.heartbeatsPerS / tenMillion.heartbeatsPerS).toBeGreaterThan(10)
})
