import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  buildDirectLog,
  buildGroupLog,
  buildNoticeLog,
  logKind,
  parseLog,
  peerOf,
  peopleOf,
  type UserId,
} from './ids.ts'

// Few letters, so that one uid often begins or ends another.
const uid = fc.string({
  unit: fc.constantFrom('a', 'b', '.', '@'),
  minLength: 1,
  maxLength: 4,
}) as fc.Arbitrary<UserId>

describe('a log', () => {
  test('of two people has each as the peer of the other, and is what its parsed form says', () => {
    fc.assert(
      fc.property(uid, uid, (a, b) => {
        const log = buildDirectLog(a, b)
        expect(logKind(log)).toBe('direct')
        expect([peerOf(log, a), peerOf(log, b)]).toEqual([b, a])
        expect(peopleOf(log)).toEqual([...new Set([a, b])].sort())
        const [first, second = first] = peopleOf(log)
        expect(parseLog(log)).toEqual({ kind: 'direct', log, a: first, b: second })
      }),
    )
  })

  test('of notices has one reader, and one of a group none by its name', () => {
    const [alice, group] = ['alice' as UserId, buildGroupLog('alice')]
    const notices = buildNoticeLog(alice)
    expect([logKind(notices), peerOf(notices, alice), peopleOf(notices)]).toEqual(['notice', null, [alice]])
    expect([logKind(group), peerOf(group, alice), peopleOf(group)]).toEqual(['group', null, []])
  })

  test.each(['', 'd', 'alice', 'x:alice', ':d', 'dd:a:b', 'G:a'])('is not what %j names', (text) => {
    expect([logKind(text), parseLog(text)]).toEqual([undefined, undefined])
  })
})
