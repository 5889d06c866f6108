import { expect, test } from 'vitest'
import { findClose } from './suggest.ts'

const COMMANDS = [
  'login',
  'logout',
  'devices',
  'send',
  'history',
  'conversations',
  'tail',
  'operations',
  'admin',
]

test.each([
  ['lgoin', 'login'],
  ['logn', 'login'],
  ['logut', 'logout'],
  ['histroy', 'history'],
  ['conversation', 'conversations'],
  ['bogus', undefined],
  ['messages', undefined],
  ['x', undefined],
  ['', undefined],
])('only a command that is close to what was typed is suggested: %s, %s', (typed, meant) => {
  expect(findClose(typed, COMMANDS)).toBe(meant)
})
