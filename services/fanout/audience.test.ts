import { expect, test } from 'vitest'
import { chooseAudience } from './audience.ts'

const nodes = (count: number) => Array.from({ length: count }, (_, i) => `node-${i}`)
const POLICY = { broadcastNodesMin: 8 }

test('the node that committed an entry is not rung for it', () => {
  const audience = chooseAudience(['a', 'b', 'c'], 'b', 100, POLICY)
  expect(audience).toEqual({ kind: 'nodes', nodes: ['a', 'c'] })
})

test('a group that only its sender watches rings nobody', () => {
  expect(chooseAudience(['a'], 'a', 100, POLICY)).toEqual({ kind: 'nodes', nodes: [] })
  expect(chooseAudience([], 'a', 100, POLICY)).toEqual({ kind: 'nodes', nodes: [] })
})

test('a group on many nodes and on half of all is broadcast, one below either bound is not', () => {
  expect(chooseAudience(nodes(8), 'a', 16, POLICY).kind).toBe('broadcast')
  expect(chooseAudience(nodes(8), 'a', 17, POLICY).kind).toBe('nodes')
  expect(chooseAudience(nodes(7), 'a', 7, POLICY).kind).toBe('nodes')
})

test('a watcher that is not known to live is rung all the same', () => {
  const audience = chooseAudience(['just-started', 'a'], 'a', 1, POLICY)
  expect(audience).toEqual({ kind: 'nodes', nodes: ['just-started'] })
})
