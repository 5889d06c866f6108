import { describe, expect, test } from 'vitest'
import type { UserId } from './ids.ts'
import { readSignal } from './signal.ts'

const alice = 'alice' as UserId

describe('a signal', () => {
  test('of somebody typing names a conversation as a send does', () => {
    expect(readSignal({ kind: 'typing', to: 'bob' }, alice)).toEqual({
      kind: 'typing',
      target: { log: 'd:alice:bob', peer: 'bob' },
    })
    expect(readSignal({ kind: 'typing', to: 'g:team' }, alice)).toEqual({
      kind: 'typing',
      target: { log: 'g:team', peer: null },
    })
    expect(readSignal({ kind: 'background' }, alice)).toEqual({ kind: 'background' })
  })

  test.each([
    [null, 'bad_json'],
    ['typing', 'bad_json'],
    [[], 'bad_json'],
    [{}, 'bad_request'],
    [{ kind: 'constructor' }, 'bad_request'],
    [{ kind: 'typing' }, 'bad_request'],
    [{ kind: 'typing', to: 7 }, 'bad_request'],
    [{ kind: 'typing', to: 'd:bob:carol' }, 'bad_request'],
    [{ kind: 'typing', to: 'bob', text: 'secret' }, 'bad_request'],
    [{ kind: 'foreground', to: 'bob' }, 'bad_request'],
  ])('that is %j is refused with %s', (value, code) => {
    expect(() => readSignal(value, alice)).toThrow(expect.objectContaining({ code }))
  })
})
