/**
 * Which characters belong to scripts that put no spaces between words: Chinese, Japanese, Korean as it is looked for,
 * Thai, Lao, Khmer and Burmese. Where a word of theirs begins and ends cannot be seen, so that it is looked for anywhere.
 */

/**
 * For the inside of a character class. With the marks of Japanese that many scripts share (Unicode counts the long
 * vowel's mark as `Common`): they stand within words and at their ends, like letters.
 */
export const UNSPACED = String.raw`\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー々〆`

const BEGINS_UNSPACED = new RegExp(`^[${UNSPACED}]`, 'u')

export const beginsUnspaced = (text: string): boolean => BEGINS_UNSPACED.test(text)
