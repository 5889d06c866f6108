import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mask, WordList } from './word-list.ts'

const listOf = (...words: string[]) => new WordList(words.map((word) => ({ word, action: 'mask' })))
const masked = (text: string, ...words: string[]) => mask(text, listOf(...words).find(text))

describe('the words of a list', () => {
  test.each([
    ['You Bad Thing', ['bad'], 'You *** Thing'],
    ['ＢＡＤ', ['bad'], '***'],
    ['a badge', ['bad'], 'a badge'],
    ['not so bad, bad!', ['bad'], 'not so ***, ***!'],
    ['这是坏话吗', ['坏话'], '这是**吗'],
    ['x坏y', ['坏'], 'x*y'],
    ['あのバーー！', ['バー'], 'あの**ー！'],
    ['サッカーーー', ['サッカー'], '****ーー'],
    ['バーA', ['バー'], '**A'],
    ['ﾗｰﾗｰx', ['ラー'], '****x'],
    ['人々々x', ['人々'], '**々x'],
    ['A〆切', ['〆切'], 'A**'],
    ['very bad words here', ['bad words', 'words'], 'very ********* here'],
    ['he said she', ['she', 'he', 'hers'], '** said ***'],
    ['C++ is fine', ['c++'], '*** is fine'],
    ['nothing', [], 'nothing'],
  ])('%s without %j: %s', (text, words, expected) => {
    expect(masked(text, ...words)).toBe(expected)
  })

  test('of scripts without spaces are the same ones that a search for each alone finds, whatever is around them', () => {
    const letter = fc.constantFrom('坏', 'バ', '々', '〆', 'ー', 'ーー')
    const word = fc.string({ unit: letter, minLength: 1, maxLength: 3 })
    const part = fc.oneof(word, fc.constantFrom('A', '1', '！'))
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), fc.array(part, { maxLength: 12 }), (words, parts) => {
        const text = parts.join('')
        const expected = new Set<string>()
        for (const one of words) {
          for (let at = text.indexOf(one); at >= 0; at = text.indexOf(one, at + 1))
            expected.add(`${at} ${one}`)
        }
        const found = listOf(...words).find(text)
        expect(new Set(found.map(({ start, word: one }) => `${start} ${one}`))).toEqual(expected)
      }),
    )
  })
})
