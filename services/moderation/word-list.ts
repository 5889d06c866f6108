/**
 * Finds the words of an operator's list in a text, all in one pass over it (the automaton of Aho and Corasick, 1975).
 *
 * Case, width and compatibility forms do not matter. A word that begins or ends with a letter or digit of a script with
 * spaces is found only as a whole word, so that "class" does not have what "ass" forbids; words of scripts without
 * spaces are found anywhere.
 */
import { beginsUnspaced } from '../unspaced-scripts.ts'

export type WordAction = 'reject' | 'withhold' | 'mask'

export type ListedWord = { word: string; action: WordAction }

/** A part of a text, in UTF-16 units: [start, end). */
export type FoundWord = ListedWord & { start: number; end: number }

type State = {
  next: Map<string, State>
  /** Where to go on when no character fits: the longest end of what was read that begins a word. */
  fallback: State | null
  /** Words that end here, the longest first. */
  words: { word: ListedWord; chars: number }[]
}

/** A character as it is compared, with the part of the text that it stands for. */
type FoldedChar = { char: string; start: number; end: number }

export class WordList {
  readonly #root: State = createState()

  constructor(words: readonly ListedWord[]) {
    for (const word of words) this.#add(word)
    this.#link()
  }

  /** Every word of the list that a text has, in the order of their ends. */
  find(text: string): FoundWord[] {
    const chars = foldChars(text)
    const found: FoundWord[] = []
    let state = this.#root
    for (const [i, { char }] of chars.entries()) {
      state = this.#step(state, char)
      for (const { word, chars: length } of state.words) {
        const from = i - length + 1
        if (isWhole(chars, from, i)) found.push({ ...word, start: chars[from]!.start, end: chars[i]!.end })
      }
    }
    return found
  }

  #add(word: ListedWord): void {
    const chars = foldChars(word.word)
    let state = this.#root
    for (const { char } of chars) {
      let next = state.next.get(char)
      if (next === undefined) {
        next = createState()
        state.next.set(char, next)
      }
      state = next
    }
    if (chars.length > 0) state.words.push({ word, chars: chars.length })
  }

  /** Breadth first, so that a fallback, which is shorter, is complete before it is used. */
  #link(): void {
    const states = [this.#root]
    for (const state of states) {
      for (const [char, next] of state.next) {
        next.fallback = state === this.#root ? this.#root : this.#step(state.fallback!, char)
        next.words.push(...next.fallback.words)
        states.push(next)
      }
    }
  }

  #step(state: State, char: string): State {
    for (let at: State | null = state; at !== null; at = at.fallback) {
      const next = at.next.get(char)
      if (next !== undefined) return next
    }
    return this.#root
  }
}

function createState(): State {
  return { next: new Map(), fallback: null, words: [] }
}

function foldChars(text: string): FoldedChar[] {
  const folded: FoldedChar[] = []
  let start = 0
  for (const char of text) {
    const end = start + char.length
    for (const part of char.normalize('NFKC').toLowerCase()) folded.push({ char: part, start, end })
    start = end
  }
  return folded
}

const OF_A_WORD = /[\p{L}\p{N}]/u
const isSpaced = (char: string): boolean => OF_A_WORD.test(char) && !beginsUnspaced(char)

/** Whether the characters from..to are not the middle of a longer word. */
function isWhole(chars: readonly FoldedChar[], from: number, to: number): boolean {
  const joins = (a: FoldedChar | undefined, b: FoldedChar | undefined) =>
    a !== undefined && b !== undefined && isSpaced(a.char) && isSpaced(b.char)
  return !joins(chars[from - 1], chars[from]) && !joins(chars[to], chars[to + 1])
}

/** The text with the found parts replaced, a star for each character. */
export function mask(text: string, found: readonly { start: number; end: number }[]): string {
  let masked = ''
  let at = 0
  for (const { start, end } of [...found].sort((a, b) => a.start - b.start)) {
    if (end <= at) continue
    const from = Math.max(start, at)
    masked += text.slice(at, from) + '*'.repeat([...text.slice(from, end)].length)
    at = end
  }
  return masked + text.slice(at)
}
