import { expect, it } from 'vitest'
import { parseAcl } from './acl.ts'

it('a claim with filters of application topics is read', () => {
  expect(parseAcl({ pub: ['a/b', 'a/+/c'], sub: ['#', '+/x', '/a', 'a//b', 'user', 'ux/#'] })).toEqual({
    pub: ['a/b', 'a/+/c'],
    sub: ['#', '+/x', '/a', 'a//b', 'user', 'ux/#'],
  })
  expect(parseAcl({ sub: ['a'] })).toEqual({ pub: [], sub: ['a'] })
  expect(parseAcl(undefined)).toEqual({ pub: [], sub: [] })
})

it.each([
  ['the contract', 'u/bob/inbox'],
  ['all of the contract', 'u/#'],
  ['the root of the contract', 'u'],
  ['system topics', '$SYS/#'],
  ['a shared subscription', '$share/group/u/bob/inbox'],
  ['nothing', ''],
  ['# in the middle', 'a/#/b'],
  ['# within a level', 'a#'],
  ['+ within a level', 'a/b+'],
  ['U+0000', 'a\0b'],
  ['half a surrogate pair', 'a\ud800'],
  ['too many characters', 'a'.repeat(1025)],
  ['a number', 7],
])('a filter of %s is refused', (_of, filter) => {
  expect(parseAcl({ pub: [filter] })).toBeUndefined()
  expect(parseAcl({ sub: ['fine', filter] })).toBeUndefined()
})

it.each([[null], ['a'], [['a']], [{ pub: 'a' }], [{ admin: ['a'] }], [{ sub: Array(101).fill('a') }]])(
  'a claim of another form is refused: %j',
  (claim) => {
    expect(parseAcl(claim)).toBeUndefined()
  },
)
