/** Screens by an operator's list of words: the strictest action of what is found counts. */

import { ACCEPT, type ScreenedMessage, type Verdict } from '../messages/screening.ts'
import { messageTexts } from '../search/message-text.ts'
import { type ListedWord, mask, type WordAction, WordList } from './word-list.ts'

const STRICTNESS: readonly WordAction[] = ['reject', 'withhold', 'mask']

export class WordScreening {
  #list: WordList | null = null

  /** Replaces the list; an empty one costs nothing. */
  set words(words: readonly ListedWord[]) {
    this.#list = words.length === 0 ? null : new WordList(words)
  }

  screen(message: Pick<ScreenedMessage, 'bodyJson'>): Verdict {
    if (this.#list === null) return ACCEPT
    const body = JSON.parse(message.bodyJson) as Record<string, unknown>
    return this.screenBody(body)
  }

  screenBody(body: Record<string, unknown>): Verdict {
    const list = this.#list
    if (list === null) return ACCEPT
    const found = messageTexts(body).flatMap(({ text }) => list.find(text))
    const action = STRICTNESS.find((one) => found.some((word) => word.action === one))
    if (action === undefined) return ACCEPT
    if (action === 'reject') return { verdict: 'refuse', code: 'content_refused' }
    if (action === 'withhold') return { verdict: 'withhold' }
    return { verdict: 'replace', body: this.#masked(list, body) }
  }

  /**
   * A text as everybody may see it, its words masked; null where the list refuses one, or would withhold it: what is no
   * message has no author who could be left to see it alone.
   */
  screenText(text: string): string | null {
    const found = this.#list?.find(text) ?? []
    if (found.some(({ action }) => action !== 'mask')) return null
    return mask(text, found)
  }

  /** The body with the words masked in every text that people see, also of what it forwards. */
  #masked(list: WordList, body: Record<string, unknown>): Record<string, unknown> {
    const copy = structuredClone(body)
    for (const { field, text } of messageTexts(body))
      setField(copy, field.split('.'), mask(text, list.find(text)))
    return copy
  }
}

function setField(target: Record<string, unknown>, [name, ...rest]: string[], text: string): void {
  if (rest.length === 0) target[name!] = text
  else setField(target[name!] as Record<string, unknown>, rest, text)
}
