import { describe, expect, test } from 'vitest'
import { WochatError } from './errors.ts'
import { checkBody, type MESSAGE_TYPES } from './message-types.ts'

/** The message of the refusal, `ok`, or what was found to be kept beside the message. */
function outcomeOf(type: string, body: Record<string, unknown>): unknown {
  try {
    return checkBody(type, body) ?? 'ok'
  } catch (error) {
    return (error as WochatError).message
  }
}

const GOOD: { [Type in keyof typeof MESSAGE_TYPES]: Record<string, unknown> } = {
  text: { text: 'hi' },
  image: { url: 'https://example.com/a.png', width: 10, height: 10, caption: 'a' },
  audio: { url: 'https://example.com/a.ogg', durationMs: 1000 },
  video: { url: 'https://example.com/a.mp4', width: 10, height: 10, durationMs: 1000 },
  file: { url: 'https://example.com/a.pdf', name: 'a.pdf', size: 10 },
  location: { lat: 48.1, lng: 11.6, label: 'here' },
  contact: { uid: 'bob', name: 'Bob' },
  link: { url: 'https://example.com', title: 'Example', text: 'of a page' },
  forward: { forwarded: [{ at: 1, type: 'text', body: {} }] },
}

describe('the body of a message', () => {
  test.each(Object.entries(GOOD))('of type %s is taken, also with fields of the app', (type, body) => {
    expect(outcomeOf(type, body)).toBe('ok')
    expect(outcomeOf(type, { ...body, app: [1, { two: 3 }] })).toBe('ok')
  })

  test('of another type is not looked at, beyond the fields that every body may have', () => {
    expect(outcomeOf('custom:poll', { text: 7, lat: 'north' })).toBe('ok')
    expect(outcomeOf('poll', {})).toBe('ok')
    expect(outcomeOf('custom:poll', { mentions: 'bob' })).toMatch(/^body.mentions: /)
  })

  test.each([
    ['text', {}, /^body.text: a string/],
    ['text', { text: '' }, /^body.text: empty/],
    ['text', { text: 'é'.repeat(8193) }, /^body.text: more than 16384 bytes/],
    ['image', { caption: 'no file' }, /^body.media: missing/],
    ['image', { media: 'x', width: 0 }, /^body.width: /],
    ['image', { media: '../x' }, /^body.media: /],
    ['video', { url: 'javascript:alert(1)' }, /^body.url: /],
    ['file', { media: 'x', name: '' }, /^body.name: /],
    ['audio', { media: 'x', durationMs: -1 }, /^body.durationMs: /],
    ['location', { lat: 91, lng: 0 }, /^body.lat: /],
    ['location', { lat: 1 }, /^body.lng: missing/],
    ['contact', { uid: 'no/uid' }, /^body.uid: /],
    ['link', { url: 'https://example.com' }, /^body.title: missing/],
    ['forward', { forwarded: [] }, /^body.forwarded: /],
    ['text', { text: 'x', mentions: ['__proto__'] }, /^body.mentions: not a uid/],
    ['text', { text: 'x', mentions: Array(101).fill('bob') }, /^body.mentions/],
    ['text', { text: 'x', replyTo: { seq: 0 } }, /^body.replyTo.seq: /],
    ['text', { text: 'x', replyTo: { log: 'g:a' } }, /^body.replyTo.seq: missing/],
    ['text', { text: 'x', expire: { afterMs: 1 } }, /^body.expire.afterMs: /],
    ['text', { text: 'x', expire: { after: 5000 } }, /^body.expire.after: unknown field/],
  ])('of type %s is refused with the path of the field: %j', (type, body, message) => {
    expect(outcomeOf(type, body)).toMatch(message)
  })

  test('of a text of exactly 16 KB is taken, however its bytes are made up', () => {
    expect(outcomeOf('text', { text: 'x'.repeat(16_384) })).toBe('ok')
    expect(outcomeOf('text', { text: '語'.repeat(5461) })).toBe('ok')
    expect(outcomeOf('text', { text: '語'.repeat(5462) })).toMatch(/more than/)
  })

  test('may hold forwarded messages that hold forwarded ones, and no further', () => {
    const around = (inner: object) => ({ forwarded: [{ from: 'bob', at: 1, type: 'forward', body: inner }] })
    const once = around({ forwarded: [{ from: 'eve', at: 1, type: 'text', body: { text: 'x' } }] })
    expect(outcomeOf('forward', once)).toEqual({ origins: ['bob', 'eve'] })
    expect(outcomeOf('forward', around(once))).toMatch(/nested more than once/)
  })

  test('names what the store has to keep: whom it calls, what it answers, forwards and carries, when it ends', () => {
    const body = {
      ...{ text: 'x', mentions: ['bob', 'eve', 'bob'], replyTo: { seq: 3 } },
      ...{ media: 'm1', expire: { afterReadMs: 5000 } },
      forwarded: [{ from: 'bob', at: 1, type: 'image', body: { media: 'm2' } }],
    }
    expect(outcomeOf('text', body)).toEqual({
      mentions: ['bob', 'eve'],
      replyTo: { log: null, seq: 3 },
      origins: ['bob'],
      media: ['m1', 'm2'],
      expire: { afterReadMs: 5000 },
    })
    expect(outcomeOf('text', { text: 'x', mentions: 'all' })).toEqual({ mentions: 'all' })
    expect(outcomeOf('text', { text: 'x', mentions: [] })).toBe('ok')
  })

  test('is refused by a WochatError', () => {
    expect(() => checkBody('text', {})).toThrow(WochatError)
  })
})
