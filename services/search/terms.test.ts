import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { joinTexts, messageTexts } from './message-text.ts'
import { findHighlights, hasTerms, queryTerms, termsOf } from './terms.ts'

const matches = (text: string, query: string): boolean => hasTerms(text, queryTerms(query))

describe('a text is found by', () => {
  test.each([
    ['Hello, World!', 'world'],
    ['Hello, World!', 'WOR'],
    ['明天见面吗', '见面'],
    ['明天见面吗', '明天'],
    ['我们去北京大学', '北京大学'],
    ['東京タワーへ行く', 'タワー'],
    ['안녕하세요', '하세'],
    ['ＷｏＣｈａｔ ①', 'wochat 1'],
    ['Straße und café', 'café straße'],
    ['version 2.0 of ok_then', 'ok_then'],
    ['สวัสดีครับ', 'สวัส'],
  ])('%s: %s', (text, query) => {
    expect(matches(text, query)).toBe(true)
  })

  test.each([
    ['明天见面吗', '天吗'],
    ['Hello', 'ello'],
    ['Hello there', 'hell there'],
    ['北京', '北京大学'],
  ])('and not %s: %s', (text, query) => {
    expect(matches(text, query)).toBe(false)
  })

  test('any of its own words, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        for (const term of [...termsOf(text)].slice(0, 30)) expect(matches(text, term)).toBe(true)
      }),
    )
  })
})

test('a query of no letter and no number has no terms', () => {
  expect(queryTerms('!? … 😀')).toEqual([])
})

test('private characters, which the index uses for itself, are no part of any term', () => {
  expect([...termsOf('a\ue000l5 b')]).toEqual(['a', 'l5', 'b'])
})

describe('highlights', () => {
  const marked = (text: string, query: string) =>
    findHighlights(text, query).map(({ start, end }) => text.slice(start, end))

  test.each([
    ['Hello world, hello!', 'hello', ['Hello', 'hello']],
    ['明天见面，后天见面', '见面', ['见面', '见面']],
    ['Meet me at 北京大学 gate', '北京 gat', ['北京', 'gate']],
    ['nothing here', 'else', []],
  ])('%s: %s', (text, query, parts) => {
    expect(marked(text, query)).toEqual(parts)
  })
})

test('the texts of a body are what people see of it, of forwarded messages too', () => {
  const body = { caption: 'the view', name: 'a.jpg', size: 5, forwarded: [{ body: { text: 'deep' } }, null] }
  expect(joinTexts(messageTexts(body))).toBe('the view\na.jpg\ndeep')
  expect(messageTexts(null)).toEqual([])
})
