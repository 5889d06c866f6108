import { expect, test } from 'vitest'
import { linesOf, type Report, type Run, spreadOf } from './report.ts'

function run(value: number, problems: string[] = []): Run {
  return {
    ok: problems.length === 0,
    problems,
    busyPercentBefore: 0,
    values: { deliveries: value },
    results: [],
  }
}

function reportOf(
  wochat: Run[],
  aedes: Run[],
  metric: { target?: number; targetOfAedes?: number } = { target: 100 },
): Report {
  return {
    startedAt: '',
    command: '',
    commit: '',
    machine: { cpu: '', cores: 2, memoryGb: 4, kernel: '', node: '' },
    pinned: { brokerCore: 0, generatorCore: 1 },
    runs: wochat.length,
    seconds: 5,
    rows: [
      {
        id: 'S1',
        title: '',
        metrics: [{ name: 'deliveries', unit: '/s', better: 'higher', digits: 0, ...metric }],
        contenders: [
          { broker: 'wochat', generator: 'own', runs: wochat },
          { broker: 'aedes', generator: 'own', runs: aedes },
        ],
      },
    ],
  }
}

test('the median of an even number of runs lies between the middle two', () => {
  expect(spreadOf([run(4), run(1), run(2), run(3)], 'deliveries')).toEqual({ median: 2.5, min: 1, max: 4 })
})

test('a row with a run that lost something has no figure', () => {
  expect(spreadOf([run(1), run(2, ['1 lost']), run(3)], 'deliveries')).toBeUndefined()
  expect(linesOf(reportOf([run(1), run(2, ['1 lost'])], []))[0]).toMatchObject({
    wochat: 'failed',
    verdict: '',
  })
})

test('a figure is judged against its target and set in relation to Aedes', () => {
  const lines = linesOf(reportOf([run(90), run(120), run(150)], [run(60)]))
  expect(lines[0]).toMatchObject({ wochat: '120 (90–150)', verdict: 'met', toAedes: '2.00' })
})

test('a target relative to Aedes is judged by the Aedes of the same bench', () => {
  const relative = { targetOfAedes: 0.5 }
  expect(linesOf(reportOf([run(29)], [run(60)], relative))[0]).toMatchObject({ verdict: 'missed' })
  expect(linesOf(reportOf([run(31)], [run(60)], relative))[0]).toMatchObject({ verdict: 'met' })
  expect(linesOf(reportOf([run(31)], [], relative))[0]).toMatchObject({ verdict: '' })
})
