import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { ADMIN_OPERATIONS } from '../../../protocol/admin/operations.ts'
import { formatTime } from '../format.ts'
import { registerAdmin } from './admin.ts'
import { formatResult } from './admin-results.ts'

test('wochat admin --help describes every argument and every option of every operation', () => {
  const program = new Command()
  registerAdmin(program)
  const operations = program.commands[0]!.commands
  expect(operations.length).toBe(Object.keys(ADMIN_OPERATIONS).length)
  const bare = operations.flatMap((operation) => [
    ...operation.options.filter((option) => !option.description).map((o) => `${operation.name()} ${o.flags}`),
    ...operation.registeredArguments
      .filter((a) => !a.description)
      .map((a) => `${operation.name()} ${a.name()}`),
  ])
  expect(bare).toEqual([])
})

describe('an answer to the operator', () => {
  const at = new Date(2026, 10, 22, 7, 1, 2).getTime()

  test('has its times as dates, and after the table what is said of the whole, with its meaning', () => {
    const reports = [{ n: 4, uid: 'eve', reason: 'spam', at, decidedAt: at }]
    const lines = formatResult(ADMIN_OPERATIONS.reports.result, { reports, open: 2, more: false })
    expect(lines).toEqual([
      expect.objectContaining({
        header: ['n', 'uid', 'reason', 'at', 'decidedAt'],
        rows: [['4', 'eve', 'spam', '2026-11-22 07:01:02', '2026-11-22 07:01:02']],
      }),
      'open: 2 (Reports that wait for a decision.)',
    ])
  })

  test('says that there is more only where there is', () => {
    const words = [{ word: 'spam', action: 'mask' }]
    expect(formatResult(ADMIN_OPERATIONS.words.result, { words, more: true })).toEqual([
      expect.objectContaining({ rows: [['spam', 'mask']] }),
      'more: true (There are more: ask with `after`.)',
    ])
  })

  test('has its long values shortened in the table, and says how to see them', () => {
    const evidence = { log: 'd:a:b', seq: 1, body: { text: 'x'.repeat(500) } }
    const reports = [{ n: 1, uid: 'eve', evidence, at }]
    const [table, ...lines] = formatResult(ADMIN_OPERATIONS.reports.result, { reports, open: 1, more: false })
    const [, , shown] = (table as { rows: string[][] }).rows[0]!
    expect(shown).toHaveLength(60)
    expect(shown).toMatch(/^\{"log":"d:a:b","seq":1,.*…$/)
    expect(lines.at(-1)).toBe('… is shortened: --json prints all')
  })

  test.each([
    [
      'webhooks',
      'webhooks',
      { id: 'crm', events: ['message.*', 'group.*'], nextAt: null, madeAt: at },
      ['crm', 'message.*, group.*', '-', formatTime(at)],
    ],
    [
      'broadcasts',
      'broadcasts',
      { id: 'b1', madeAt: at, endedAt: at },
      ['b1', formatTime(at), formatTime(at)],
    ],
    ['apiKeys', 'keys', { id: 'k1', madeAt: at, endedAt: null }, ['k1', formatTime(at), '-']],
    ['suspensions', 'suspensions', { uid: 'eve', at, until: at }, ['eve', formatTime(at), formatTime(at)]],
  ] as const)('of %s has dates and lists that a person reads', (name, list, row, cells) => {
    expect(formatResult(ADMIN_OPERATIONS[name].result, { [list]: [row] })).toEqual([
      expect.objectContaining({ rows: [cells] }),
    ])
  })

  test('without a list is a line for each fact, its times as dates', () => {
    expect(
      formatResult(ADMIN_OPERATIONS.suspend.result, { uid: 'eve', reason: 'spam', at, until: at }),
    ).toEqual(['uid: eve', 'reason: spam', 'at: 2026-11-22 07:01:02', 'until: 2026-11-22 07:01:02'])
  })
})
