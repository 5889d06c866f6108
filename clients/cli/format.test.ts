import { expect, test } from 'vitest'
import { WochatError } from '../../protocol/errors.ts'
import { ClientError } from '../sdk/errors.ts'
import { formatFailure } from './command.ts'
import { escapeText, formatEntry, formatHistory, formatTable, formatTime, noPaint } from './format.ts'

const entry = {
  log: 'd:alice:bob',
  epoch: 'k1',
  seq: 42,
  at: Date.UTC(2026, 10, 22, 7, 1, 2),
  kind: 'message',
  from: 'alice',
  device: 'phone',
  type: 'text',
  body: { text: 'Hello!' },
}

test('a text message is one line with time, place, author and text', () => {
  expect(formatEntry(entry, noPaint)).toBe(`${formatTime(entry.at)} d:alice:bob 42 alice/phone: Hello!`)
})

test('what is not a text message shows its type and its body', () => {
  expect(formatEntry({ ...entry, type: 'image', body: { url: 'x' } }, noPaint)).toMatch(
    /: \[image\] \{"url":"x"\}$/,
  )
  expect(formatEntry({ ...entry, kind: 'group', type: 'left', body: {} }, noPaint)).toMatch(
    /: \[group left\] \{\}$/,
  )
})

test('history names the entry without its log, and says what became of the message', () => {
  const line = (changes: object) =>
    formatHistory({ ...entry, ...changes }, noPaint)
      .split(': ')
      .slice(1)
      .join(': ')
  expect(formatHistory(entry, noPaint)).toBe(`${formatTime(entry.at)} 42 alice/phone: Hello!`)
  const state = { edited: { at: 1, count: 2 }, reactions: { '👍': 3, ':+1:': 1 } }
  expect(line({ state })).toBe('Hello! (edited) 👍 3 :+1: 1')
  expect(line({ body: {}, state: { recalled: { at: 1, by: 'bob', reason: 'recalled' } } })).toBe(
    '[text, recalled]',
  )
  const edit = { seq: 41, body: { text: 'so\nbe it' }, count: 1 }
  expect(line({ body: {}, state: { edited: { at: 1, count: 1, unseen: true } } })).toBe(
    '[text, edited while you were out] (edited)',
  )
  expect(line({ kind: 'edit', type: 'edited', body: edit })).toBe('[edit of 41] so\\nbe it')
  expect(line({ kind: 'edit', type: 'edited', body: { seq: 41, count: 1 } })).toBe('[edit of 41]')
  expect(line({ kind: 'recall', type: 'recalled', body: { seq: 41, by: 'bob' } })).toBe('[recall of 41]')
  const reaction = { seq: 41, emoji: '👍', on: true }
  expect(line({ kind: 'reaction', type: 'added', body: reaction })).toBe('[reaction to 41 added] 👍')
})

test('time is local, in full', () => {
  expect(formatTime(entry.at)).toMatch(/^2026-11-2\d \d\d:\d\d:02$/)
})

test.each([
  ['an escape sequence', '\u001b[2J', '\\x1b[2J'],
  ['a line feed', 'a\nb', 'a\\nb'],
  ['a carriage return', 'a\rb', 'a\\x0db'],
  ['a C1 control', '\u009b31m', '\\x9b31m'],
  ['a turn of direction', '\u202egnp.exe', '\\u202egnp.exe'],
  ['nothing special', '你好 🎉 é', '你好 🎉 é'],
])('text with %s cannot drive the terminal', (_, text, expected) => {
  expect(escapeText(text)).toBe(expected)
  expect(formatEntry({ ...entry, body: { text } }, noPaint)).toContain(`: ${expected}`)
})

test('columns are as wide as their widest cell', () => {
  const table = formatTable(
    ['uid', 'state'],
    [
      ['alexandra', 'friend'],
      ['bo', 'asked'],
    ],
    noPaint,
  )
  expect(table).toBe('uid        state\nalexandra  friend\nbo         asked')
})

test('a failure is one line that begins with its code', () => {
  const refused = new WochatError('users_refused', undefined, {
    details: { users: [{ uid: 'eve', code: 'not_friends' }] },
  })
  expect(formatFailure(refused)).toMatch(
    /^users_refused: .* \(users: \[\{"uid":"eve","code":"not_friends"\}\]\)$/,
  )
  expect(formatFailure(new ClientError('unreachable', 'no\nway'))).toBe('unreachable: no\\nway')
  expect(formatFailure(new Error('EACCES'))).toBe('failed: EACCES')
})

test('a failure says when to ask again, and its details', () => {
  const wait = new WochatError('request_refused', undefined, { retryAfterMs: (23 * 60 + 55) * 60_000 + 5 })
  expect(formatFailure(wait)).toMatch(/^request_refused: .* \(again in 23 h 55 min\)$/)
  const until = new Date(2026, 10, 30, 12).getTime()
  const suspended = new WochatError('account_suspended', undefined, { details: { until } })
  expect(formatFailure(suspended)).toMatch(/ \(until 2026-11-30 12:00:00\)$/)
  const both = new WochatError('busy', 'later', { retryAfterMs: 1000, details: { field: 'name' } })
  expect(formatFailure(both)).toBe('busy: later (again in 1 s; field: name)')
})
