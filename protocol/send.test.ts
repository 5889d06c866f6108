import fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { describe, expect, test } from 'vitest'
import type { WochatError } from './errors.ts'
import { parseUserId } from './ids.ts'
import { JSON_DEPTH_MAX } from './limits.ts'
import { readSend, SendSchema } from './send.ts'

const ALICE = parseUserId('alice')!
const schema = Compile(SendSchema)

/** The code of the refusal, or null when the send is taken. */
function refusalOf(value: unknown): string | null {
  try {
    readSend(value, ALICE)
    return null
  } catch (error) {
    return (error as WochatError).code
  }
}

const text = fc.oneof(fc.constantFrom('', 'hi', 'x'.repeat(64), 'x'.repeat(65)), fc.string())
const anything = fc.oneof(
  text,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.string()),
  fc.object(),
)
const sends = fc.record(
  {
    id: anything,
    to: fc.oneof(fc.constantFrom('bob', 'g:abc', 'd:alice:bob', 'alice'), anything),
    type: fc.oneof(fc.constantFrom('text', 'custom:poll', 'Text'), anything),
    body: fc.oneof(fc.record({ text: fc.string() }), anything),
    text: anything,
    transient: fc.oneof(fc.boolean(), anything),
    more: anything,
  },
  { requiredKeys: [] },
)

describe('readSend, which is written by hand', () => {
  test('takes nothing that its schema refuses', () => {
    fc.assert(
      fc.property(sends, (send) => {
        if (refusalOf(send) === null) expect(schema.Check(send)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test('refuses what the schema takes only for what a schema cannot say', () => {
    fc.assert(
      fc.property(sends, (send) => {
        if (!schema.Check(send) || refusalOf(send) === null) return
        const { to, type, body, text: short, id } = send as Record<string, unknown>
        const isNoTarget = refusalOf({ to, text: '' }) !== null
        const isBoth = short !== undefined && (body !== undefined || (type !== undefined && type !== 'text'))
        const isNeither = short === undefined && body === undefined
        const isTextless =
          short === undefined &&
          (type ?? 'text') === 'text' &&
          typeof (body as { text?: unknown })?.text !== 'string'
        const isEmpty = (type ?? 'text') === 'text' && (body as { text?: unknown })?.text === ''
        const isNoId = typeof id === 'string' && !id.isWellFormed()
        expect(isNoTarget || isBoth || isNeither || isTextless || isEmpty || isNoId).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    ['a conversation of two others', { to: 'd:bob:carol', text: 'hi' }],
    ['a direct conversation whose uids are not sorted', { to: 'd:bob:alice', text: 'hi' }],
    ['a notice log', { to: 'n:bob', text: 'hi' }],
    ['the uid `__proto__`', { to: '__proto__', text: 'hi' }],
    ['an id that is no string', { to: 'bob', text: 'hi', id: 7 }],
    ['both forms at once', { to: 'bob', text: 'hi', body: { text: 'hi' } }],
  ])('refuses %s', (_, send) => {
    expect(refusalOf(send)).toBe('bad_request')
  })

  test('counts the depth of the whole payload', () => {
    const nest = (levels: number): unknown => (levels === 0 ? {} : { a: nest(levels - 1) })
    const send = (levels: number) => ({ to: 'bob', type: 'custom:deep', body: nest(levels) })
    expect(refusalOf(send(JSON_DEPTH_MAX - 2))).toBe(null)
    expect(refusalOf(send(JSON_DEPTH_MAX - 1))).toBe('too_deep')
  })

  test('takes `transient`, which the store is told of', () => {
    expect(readSend({ to: 'bob', text: 'x', transient: true }, ALICE).marks).toEqual({ transient: true })
    expect(readSend({ to: 'bob', text: 'x', transient: false }, ALICE).marks).toBe(null)
    expect(refusalOf({ to: 'bob', text: 'x', transient: 1 })).toBe('bad_request')
  })

  test('takes a message that ends after it was read only where one other person reads', () => {
    const send = (to: string) => ({ to, body: { text: 'x', expire: { afterReadMs: 5000 } } })
    expect(['bob', 'alice', 'g:group'].map((to) => refusalOf(send(to)))).toEqual([
      null,
      'bad_request',
      'bad_request',
    ])
  })

  test('reads the short form as what it is short for', () => {
    expect(readSend({ to: 'bob', text: 'a "b"' }, ALICE)).toEqual(
      readSend({ to: 'd:alice:bob', type: 'text', body: { text: 'a "b"' } }, ALICE),
    )
  })
})
