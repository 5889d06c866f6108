import { expect, test } from 'vitest'
import { until } from '../../test/harness/wait.ts'
import { startBackgroundTask } from './background-task.ts'

const QUIET = { warn() {} }

test('steps follow each other, and one that fails is tried again', async () => {
  const steps: string[] = []
  const task = startBackgroundTask({
    name: 'test',
    async step() {
      steps.push('step')
      if (steps.length === 2) throw new Error('once')
      return 0
    },
    retryMs: 1,
    log: QUIET,
  })
  await until(() => steps.length >= 4, 'steps')
  await task[Symbol.asyncDispose]()
  const { length } = steps
  await new Promise((resolve) => setImmediate(resolve))
  expect(steps).toHaveLength(length)
})

test('a task that is idle goes on when there is work, and stops without any', async () => {
  let steps = 0
  let found = () => {}
  const task = startBackgroundTask({
    name: 'test',
    async step() {
      steps++
      return 'idle'
    },
    work: () =>
      new Promise((resolve) => {
        found = resolve
      }),
    retryMs: 1,
    log: QUIET,
  })
  await until(() => steps === 1, 'the first step')
  found()
  await until(() => steps === 2, 'a step for the work')
  await task[Symbol.asyncDispose]()
  expect(steps).toBe(2)
})

test('stopping waits for the step under way', async () => {
  let isOver = false
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const task = startBackgroundTask({
    name: 'test',
    async step() {
      begin()
      await new Promise((resolve) => setTimeout(resolve, 20))
      isOver = true
      return 1000
    },
    retryMs: 1,
    log: QUIET,
  })
  await begun
  await task[Symbol.asyncDispose]()
  expect(isOver).toBe(true)
})

test('of failures in a row only the first is logged', async () => {
  const warnings: string[] = []
  let steps = 0
  const task = startBackgroundTask({
    name: 'test',
    async step() {
      steps++
      if (steps !== 3) throw new Error(`${steps}`)
      return 0
    },
    retryMs: 0,
    log: { warn: ({ err }: { err: Error }) => void warnings.push(err.message) } as never,
  })
  await until(() => steps >= 6, 'steps')
  await task[Symbol.asyncDispose]()
  expect(warnings).toEqual(['1', '4'])
})
