import { describe, expect, test } from 'vitest'
import { type Accepted, checkHistory, type Delivered, type History } from './history-checker.ts'

const LOG = 'd:a:b'

const accepted = (seq: number, id = `m${seq}`, log = LOG): Accepted => ({ id, log, seq })
const delivered = (seq: number, id = `m${seq}`, log = LOG): Delivered => ({
  log,
  epoch: 'k1',
  seq,
  id,
  text: `text of ${id}`,
})

/** Three messages, all acknowledged and delivered in order. */
function goodHistory(change: Partial<History> = {}): History {
  return {
    attempted: new Set(['m1', 'm2', 'm3']),
    accepted: [accepted(1), accepted(2), accepted(3)],
    delivered: new Map([['phone', [delivered(1), delivered(2), delivered(3)]]]),
    expected: new Map([['phone', [LOG]]]),
    ...change,
  }
}

function phoneGot(...entries: Delivered[]): Partial<History> {
  return { delivered: new Map([['phone', entries]]) }
}

describe('a history without fault passes', () => {
  test('each entry once, in order', () => {
    expect(checkHistory(goodHistory())).toEqual([])
  })

  test('repeats after a reconnect, and two acknowledgements of one resent message', () => {
    const history = goodHistory({
      accepted: [accepted(1), accepted(1), accepted(2), accepted(3)],
      ...phoneGot(delivered(1), delivered(2), delivered(1), delivered(2), delivered(3)),
    })
    expect(checkHistory(history)).toEqual([])
  })

  test('a message that was stored but whose acknowledgement was lost', () => {
    expect(checkHistory(goodHistory({ accepted: [accepted(1), accepted(3)] }))).toEqual([])
  })
})

describe('a fault is found', () => {
  const faults: [string, Partial<History>, RegExp][] = [
    ['an acknowledged entry is missing', phoneGot(delivered(1), delivered(3)), /never got m2/],
    ['nothing came at all', { delivered: new Map() }, /never got m1/],
    ['order is broken', phoneGot(delivered(1), delivered(3), delivered(2)), /d:a:b#2 after seq 3/],
    [
      'one message was stored twice',
      phoneGot(delivered(1), delivered(2), delivered(3), delivered(4, 'm1')),
      /m1 twice/,
    ],
    [
      'a message was acknowledged with two seqs',
      { accepted: [accepted(1), accepted(2), accepted(3), accepted(4, 'm1')] },
      /m1 was acknowledged as d:a:b#1 and as d:a:b#4/,
    ],
    [
      'one seq was given twice',
      { attempted: new Set(['m1', 'm2', 'm3', 'm4']), accepted: [accepted(1), accepted(1, 'm4')] },
      /d:a:b#1 was given to m1 and m4/,
    ],
    [
      'the delivered seq is not the acknowledged one',
      phoneGot(delivered(1), delivered(2), delivered(3), delivered(5, 'm3')),
      /acknowledged as d:a:b#3 but delivered as d:a:b#5/,
    ],
    [
      'seq has a hole',
      {
        accepted: [accepted(1), accepted(4, 'm2')],
        ...phoneGot(delivered(1), delivered(4, 'm2')),
      },
      /no entry 2/,
    ],
    [
      'something came that nobody sent',
      phoneGot(delivered(1), delivered(2), delivered(3), delivered(4, 'x')),
      /x, which nobody sent/,
    ],
    [
      'a repeat differs from the first copy',
      phoneGot(delivered(1), delivered(2), { ...delivered(2), text: 'other' }, delivered(3)),
      /two different entries as d:a:b k1 2/,
    ],
    [
      'the server acknowledged what was never sent',
      { accepted: [...goodHistory().accepted, accepted(4, 'y')] },
      /y was acknowledged but never sent/,
    ],
  ]

  test.each(faults)('%s', (_name, change, expected) => {
    expect(checkHistory(goodHistory(change)).join('\n')).toMatch(expected)
  })
})
