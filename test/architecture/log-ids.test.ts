/** What a log id looks like is known in one place: everybody else asks protocol/ids.ts. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const REPO = new URL('../../', import.meta.url).pathname
const PARTS = ['protocol', 'services', 'broker', 'clients', 'serve', 'config']

/** A literal that is the beginning of a log id, alone or in front of a value, or a pattern that asks for one. */
const PREFIX = /'[dgn]:'|"[dgn]:"|`[dgn]:\$\{|\/\^[dgn]:|'\^[dgn]:/

const spells = (line: string): boolean => PREFIX.test(line)

test('nobody else builds the id of a log or takes one apart', () => {
  const files = PARTS.flatMap((part) =>
    readdirSync(join(REPO, part), { recursive: true, encoding: 'utf8' }).map((name) => join(part, name)),
  ).filter((path) => path.endsWith('.ts') && !/\.test\.ts$|node_modules/.test(path))
  expect(files.length).toBeGreaterThan(300)
  const found = files
    .filter((path) => path !== 'protocol/ids.ts')
    .flatMap((path) =>
      readFileSync(join(REPO, path), 'utf8')
        .split('\n')
        .flatMap((line, i) => (spells(line) ? [`${path}:${i + 1} ${line.trim()}`] : [])),
    )
  expect(found, 'logKind, peerOf, peopleOf and build*Log of protocol/ids.ts say it').toEqual([])
})

test('each way to do so would be found; SQL and descriptions are none', () => {
  const wrong = [
    "log.startsWith('g:')",
    `const log = \`n:\${uid}\``,
    '/^d:/.test(log)',
    "pattern: '^g:[a-z]'",
  ]
  expect(wrong.filter((line) => !spells(line))).toEqual([])
  const right = [
    "where log.name like 'g:%'",
    "description: 'A group, `g:...`.'",
    '/** `g:` and 22 characters */',
  ]
  expect(right.filter(spells)).toEqual([])
})
