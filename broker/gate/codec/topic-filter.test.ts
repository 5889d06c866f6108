import { describe, expect, test } from 'vitest'
import {
  countLevels,
  filterCovers,
  filterMatches,
  isValidTopicFilter,
  parseSharedFilter,
} from './topic-filter.ts'

describe('topic filters', () => {
  const valid = [
    '#',
    '+',
    '/',
    '+/+',
    '/+',
    '+/#',
    'a/+/b',
    'a//#',
    '$share',
    '$share/g/a',
    '$share/g/#',
    '$share/g//',
  ]
  test.each(valid)('%s is valid', (filter) => expect(isValidTopicFilter(filter)).toBe(true))

  const invalid = [
    ...['', '#/', '#/a', 'a#', 'a/b#', '##', '++', '+a', 'a+', 'a/+b/c', '+#', 'a\0/#'],
    ...['$share/', '$share/g', '$share/g/', '$share//a', '$share/g+/a', '$share/#/a', '$share/g/a#'],
  ]
  test.each(invalid)('%j is not', (filter) => expect(isValidTopicFilter(filter)).toBe(false))

  test('a shared filter is taken apart', () => {
    expect(parseSharedFilter('$share/g/a/+')).toEqual({ shareName: 'g', filter: 'a/+' })
    expect(parseSharedFilter('$share/g//')).toEqual({ shareName: 'g', filter: '/' })
    expect(parseSharedFilter('share/g/a')).toBeUndefined()
  })

  test('levels are counted', () => {
    expect([countLevels('a'), countLevels('/'), countLevels('a/b/c')]).toEqual([1, 2, 3])
  })
})

describe('matching (examples of section 4.7)', () => {
  const player = 'sport/tennis/player1'
  test.each([
    [`${player}/#`, player, true],
    [`${player}/#`, `${player}/ranking`, true],
    [`${player}/#`, `${player}/score/wimbledon`, true],
    ['sport/#', 'sport', true],
    ['#', 'a/b/c', true],
    ['sport/tennis/+', player, true],
    ['sport/tennis/+', `${player}/ranking`, false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS/a', true],
    ['$SYS/+', '$SYS/a', true],
    ['a/+', 'a/$b', true],
    ['a/#', 'a/$b', true],
    ['ACCOUNTS', 'Accounts', false],
    ['a', 'ab', false],
    ['ab', 'a', false],
    ['a/b', 'a', false],
    ['a/#', 'ab', false],
  ])('%s on %s: %s', (filter, topic, matches) => {
    expect(filterMatches(filter, topic)).toBe(matches)
  })
})

/** All sequences of the levels up to a depth, joined. */
function paths(levels: readonly string[], depth: number): string[] {
  let layer: string[][] = [[]]
  const all: string[] = []
  for (let i = 0; i < depth; i++) {
    layer = layer.flatMap((path) => levels.map((level) => [...path, level]))
    all.push(...layer.map((path) => path.join('/')))
  }
  return all
}

/** Matching by the words of the specification, with regular expressions: independent of the code under test. */
function matchesByRegExp(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const source = filter
    .replaceAll('$', '\\$')
    .replaceAll('+', '[^/]*')
    .replace(/\/#$/, '(/.*)?')
    .replace(/^#$/, '.*')
  return new RegExp(`^${source}$`).test(topic)
}

describe('against every small topic', () => {
  const topics = paths(['a', 'b', 'z', '', '$s', '$z'], 4).filter((topic) => topic !== '')
  const filters = paths(['a', '', '+', '#', '$s'], 3).filter(isValidTopicFilter)

  test('filterMatches agrees with the specification', () => {
    for (const filter of filters) {
      for (const topic of topics) {
        const got = filterMatches(filter, topic)
        if (got !== matchesByRegExp(filter, topic)) expect.fail(`${filter} on ${topic} gave ${got}`)
      }
    }
  })

  test('filterCovers says yes exactly when every topic of the filter matches the grant', () => {
    const matched = new Map(filters.map((f) => [f, topics.filter((topic) => matchesByRegExp(f, topic))]))
    for (const grant of filters) {
      const granted = new Set(matched.get(grant))
      for (const filter of filters) {
        // A filter that begins with `$` is under a wildcard of the grant never, a wildcard of the filter never `$`.
        const expected = matched.get(filter)!.every((topic) => granted.has(topic))
        if (filterCovers(grant, filter) !== expected)
          expect.fail(`${grant} covers ${filter}: not ${expected}`)
      }
    }
  })

  test('a wildcard grant covers no filter that starts with $', () => {
    expect(filterCovers('#', '$share/g/a')).toBe(false)
    expect(filterCovers('+/a', '$SYS/a')).toBe(false)
    expect(filterCovers('#', 'u/ada/inbox')).toBe(true)
  })
})
