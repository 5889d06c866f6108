import { expect, test } from 'vitest'
import { helpText, parseOptions } from './options.ts'

test('a number is read under its written name', () => {
  expect(parseOptions(['flow', '--connect-seconds', '2.5']).connectSeconds).toBe(2.5)
})

test('an option that is not given has its default', () => {
  expect(parseOptions(['storm'])).toMatchObject({ mode: 'storm', port: 1883, persistent: false })
})

test.each([
  [['flow', '--port', '70000'], '--port 70000'],
  [['flow', '--window', '1.5'], '--window 1.5'],
  [['flow', '--portt', '1'], '--portt'],
  [['flood'], 'one mode expected'],
  [[], 'one mode expected'],
])('%j is refused and the message names what is wrong', (argv, reason) => {
  expect(() => parseOptions(argv)).toThrow(reason)
})

test('the help names every option', () => {
  expect(helpText()).toContain('--passwords-file')
})
