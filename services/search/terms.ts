/**
 * What a text is found by. Both engines index these terms and neither looks at the text itself, so that a search gives the
 * same on both.
 *
 * Words of scripts with spaces are terms as they are. In a script without them ({@link UNSPACED}) a run of characters
 * gives every character and every pair of neighbours, so that a word of two characters is one term, and a longer one is
 * found by its pairs. Case, width and compatibility forms do not matter (Unicode NFKC, lower case).
 */
import { beginsUnspaced, UNSPACED } from '../unspaced-scripts.ts'

/** Terms of one message; of a longer text the first ones count. */
const TERMS_MAX = 2000
/** Characters of one term; a longer word is cut. */
const TERM_CHARS_MAX = 64

const RUN = new RegExp(String.raw`[${UNSPACED}]+|[\p{L}\p{N}\p{M}_]+`, 'gu')

const fold = (text: string): string => text.normalize('NFKC').toLowerCase()

/** The terms of a text, each once. */
export function termsOf(text: string): Set<string> {
  const terms = new Set<string>()
  for (const run of runsOf(text)) {
    if (terms.size >= TERMS_MAX) break
    if (!run.isUnspaced) terms.add(run.text.slice(0, TERM_CHARS_MAX))
    else {
      const chars = [...run.text]
      for (const [i, char] of chars.entries()) {
        terms.add(char)
        if (i > 0) terms.add(chars[i - 1]! + char)
      }
    }
  }
  return terms
}

/** A term that must be there; with `isPrefix`, one that begins so. */
export type QueryTerm = { text: string; isPrefix: boolean }

/** What a query asks for: all of its terms. The last word may still be being typed, and matches as a beginning. */
export function queryTerms(query: string): QueryTerm[] {
  const runs = runsOf(query)
  const endsInWord = /[\p{L}\p{N}\p{M}_]$/u.test(query)
  const terms = new Map<string, QueryTerm>()
  for (const [i, run] of runs.entries()) {
    if (!run.isUnspaced) {
      const text = run.text.slice(0, TERM_CHARS_MAX)
      const isPrefix = endsInWord && i === runs.length - 1
      if (!terms.has(text) || !isPrefix) terms.set(text, { text, isPrefix })
      continue
    }
    const chars = [...run.text]
    const pairs = chars.length === 1 ? chars : chars.slice(1).map((char, j) => chars[j]! + char)
    for (const text of pairs) terms.set(text, { text, isPrefix: false })
  }
  return [...terms.values()]
}

type Run = { text: string; isUnspaced: boolean }

function runsOf(text: string): Run[] {
  return (fold(text).match(RUN) ?? []).map((run) => ({ text: run, isUnspaced: beginsUnspaced(run) }))
}

/** Where a query is found in a text: [start, end) in UTF-16 units, in order, without overlap. */
export function findHighlights(text: string, query: string): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = []
  for (const { segment, index } of words(text)) {
    const folded = fold(segment)
    for (const run of runsOf(query)) {
      if (run.isUnspaced) continue
      if (folded.startsWith(run.text)) found.push({ start: index, end: index + segment.length })
    }
  }
  for (const run of runsOf(query)) if (run.isUnspaced) found.push(...occurrences(text, run.text))
  return withoutOverlap(found)
}

function* words(text: string): Iterable<{ segment: string; index: number }> {
  for (const match of text.matchAll(RUN)) {
    if (!beginsUnspaced(match[0])) yield { segment: match[0], index: match.index }
  }
}

/** Of a text whose folding keeps its length, which holds for the scripts without spaces in their usual forms. */
function occurrences(text: string, needle: string): { start: number; end: number }[] {
  const folded = fold(text)
  if (folded.length !== text.length) return []
  const found: { start: number; end: number }[] = []
  for (let at = folded.indexOf(needle); at >= 0; at = folded.indexOf(needle, at + needle.length)) {
    found.push({ start: at, end: at + needle.length })
  }
  return found
}

function withoutOverlap(found: { start: number; end: number }[]): { start: number; end: number }[] {
  const sorted = found.sort((a, b) => a.start - b.start || b.end - a.end)
  const kept: { start: number; end: number }[] = []
  for (const part of sorted) if (part.start >= (kept.at(-1)?.end ?? 0)) kept.push(part)
  return kept
}

/** Whether a text has every term of a query: what an index that is a little old cannot promise. */
export function hasTerms(text: string, query: readonly QueryTerm[]): boolean {
  const terms = termsOf(text)
  return query.every(({ text: wanted, isPrefix }) =>
    isPrefix ? [...terms].some((term) => term.startsWith(wanted)) : terms.has(wanted),
  )
}
