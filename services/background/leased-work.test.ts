import { expect, test } from 'vitest'
import { until } from '../../test/harness/wait.ts'
import { LeasedWork } from './leased-work.ts'

const BASE = {
  name: 'test',
  waits: () => new Promise<void>((resolve) => setTimeout(resolve, 1)),
  log: { warn() {} },
}

test('a piece under way is not begun again, and one that failed is', async () => {
  const begun: string[] = []
  const gate = Promise.withResolvers<void>()
  let looks = 0
  await using _ = new LeasedWork({
    ...BASE,
    async lease() {
      looks++
      return ['slow', 'fails']
    },
    async work(id) {
      begun.push(id)
      if (id === 'fails') throw new Error('the store is away')
      await gate.promise
    },
  })
  await until(() => looks > 5, 'looks')
  expect(begun.filter((id) => id === 'slow')).toHaveLength(1)
  expect(begun.filter((id) => id === 'fails').length).toBeGreaterThan(1)
  gate.resolve()
})

test('stopping tells the pieces under way, and waits for them', async () => {
  const ended: string[] = []
  const work = new LeasedWork({
    ...BASE,
    lease: async () => ['a', 'b'],
    async work(id, signal) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => setTimeout(resolve, 5)))
      ended.push(id)
    },
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  await work[Symbol.asyncDispose]()
  expect(ended.sort()).toEqual(['a', 'b'])
})
