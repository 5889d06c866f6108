import { describe, expect, test } from 'vitest'
import type { Gap } from '../../protocol/entry.ts'
import { Inbox } from './inbox.ts'

type Fields = { log?: string; epoch?: string; seq: number }

/** An inbox whose acknowledgements and gaps are written down. */
function createInbox() {
  const acknowledged: number[] = []
  const gaps: Gap[] = []
  const inbox = new Inbox((gap) => gaps.push(gap))
  const receive = ({ log = 'd:alice:bob', epoch = 'k1', seq }: Fields) =>
    inbox.receive(Buffer.from(JSON.stringify({ log, epoch, seq, kind: 'message' })), () =>
      acknowledged.push(seq),
    )
  return { inbox, receive, acknowledged, gaps }
}

/** What is left in an inbox, as `log seq`; the inbox must have been closed. */
async function readAll(inbox: Inbox): Promise<string[]> {
  const read: string[] = []
  for await (const entry of inbox.entries()) read.push(`${entry.log} ${entry.seq}`)
  return read
}

describe('acknowledgement', () => {
  test('an entry is acknowledged when the next one is asked for, not when it arrives', async () => {
    const { inbox, receive, acknowledged } = createInbox()
    receive({ seq: 1 })
    receive({ seq: 2 })
    const entries = inbox.entries()
    expect((await entries.next()).value).toMatchObject({ seq: 1 })
    expect(acknowledged).toEqual([])
    expect((await entries.next()).value).toMatchObject({ seq: 2 })
    expect(acknowledged).toEqual([1])
  })

  test('leaving the loop acknowledges the entry that it was left with', async () => {
    const { inbox, receive, acknowledged } = createInbox()
    receive({ seq: 1 })
    receive({ seq: 2 })
    for await (const _ of inbox.entries()) break
    expect(acknowledged).toEqual([1])
  })

  test('what was not handled when the connection dropped is yielded once when it comes again', async () => {
    const { inbox, receive, acknowledged } = createInbox()
    receive({ seq: 1 })
    receive({ seq: 2 })
    const entries = inbox.entries()
    await entries.next()
    inbox.disconnected()
    // Redelivery: 1 is still being handled, 2 was only in the queue.
    receive({ seq: 1 })
    receive({ seq: 2 })
    expect((await entries.next()).value).toMatchObject({ seq: 2 })
    expect(acknowledged).toEqual([1, 1])
  })
})

describe('order and duplicates', () => {
  test('an entry that was handled is acknowledged again and not yielded again', async () => {
    const { inbox, receive, acknowledged } = createInbox()
    for (const seq of [1, 3, 3, 1, 4]) receive({ seq })
    const entries = inbox.entries()
    const seqs = [await entries.next(), await entries.next(), await entries.next()].map(
      ({ value }) => value?.seq,
    )
    expect(seqs).toEqual([1, 3, 4])
    expect(acknowledged).toEqual([1, 3, 3, 1])
  })

  test('logs are numbered on their own, and a new epoch numbers again', async () => {
    const { inbox, receive } = createInbox()
    receive({ log: 'd:a:b', seq: 5 })
    receive({ log: 'g:1', seq: 2 })
    receive({ log: 'd:a:b', epoch: 'k2', seq: 1 })
    const entries = inbox.entries()
    const read = [await entries.next(), await entries.next(), await entries.next()]
    expect(read.map(({ value }) => `${value?.log} ${value?.epoch} ${value?.seq}`)).toEqual([
      'd:a:b k1 5',
      'g:1 k1 2',
      'd:a:b k2 1',
    ])
  })

  test('a gap is reported in its place, acknowledged, and passed', async () => {
    const { inbox, receive, gaps } = createInbox()
    let passed = false
    receive({ seq: 1 })
    const gap = { kind: 'gap', log: 'd:alice:bob', epoch: 'k1', from: 2, to: 9, reason: 'backlog' }
    inbox.receive(Buffer.from(JSON.stringify(gap)), () => {
      passed = true
    })
    receive({ seq: 9 })
    receive({ seq: 10 })
    const entries = inbox.entries()
    await entries.next()
    expect(gaps).toEqual([])
    expect((await entries.next()).value).toMatchObject({ seq: 10 })
    expect(gaps).toEqual([gap])
    expect(passed).toBe(true)
  })
})

describe('the end', () => {
  test('closing ends the loop that waits', async () => {
    const { inbox } = createInbox()
    const read = readAll(inbox)
    inbox.close(null)
    expect(await read).toEqual([])
  })

  test('a failure is thrown in the loop', async () => {
    const { inbox } = createInbox()
    const read = readAll(inbox)
    inbox.close(new Error('taken over'))
    await expect(read).rejects.toThrow('taken over')
  })

  test('a second reader at the same time is refused', async () => {
    const { inbox, receive } = createInbox()
    receive({ seq: 1 })
    await inbox.entries().next()
    await expect(inbox.entries().next()).rejects.toThrow('once at a time')
  })
})

test.each([
  ['not JSON', '{'],
  ['not an object', '7'],
  ['without a log', '{"epoch":"k1","seq":1}'],
  ['without a seq', '{"log":"d:a:b","epoch":"k1"}'],
  ['a gap without its end', '{"kind":"gap","log":"d:a:b","epoch":"k1","from":1}'],
])('a payload that is %s is refused as bad_answer', (_, payload) => {
  const { inbox } = createInbox()
  expect(() => inbox.receive(Buffer.from(payload), () => {})).toThrow(
    expect.objectContaining({ code: 'bad_answer' }),
  )
})

test('a server that sends beyond any window is refused', () => {
  const { receive } = createInbox()
  expect(() => {
    for (let seq = 1; seq < 10_000; seq++) receive({ seq })
  }).toThrow('beyond its window')
})
