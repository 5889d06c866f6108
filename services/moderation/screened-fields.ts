/**
 * What people write beside messages, and others see: names, what a group is about, its announcement, nicknames, and the
 * texts of requests. The list of words screens it in the call that writes it, so that a refusal changes nothing. The
 * service that is asked before sends is not asked: it knows messages alone.
 */
import type { OperationName, Params } from '../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../protocol/errors.ts'
import type { Handler, Handlers } from '../dispatcher.ts'
import type { WordScreening } from './word-screening.ts'

type Fields = { readonly [Name in OperationName]?: readonly (keyof Params<Name>)[] }

/** Parameters that are looked at: texts, and of the attributes of a profile the names and values. */
export const SCREENED_FIELDS = {
  'profile.set': ['name', 'attributes'],
  'contacts.request': ['text'],
  'groups.create': ['name', 'about'],
  'groups.update': ['name', 'about'],
  'groups.announce': ['text'],
  'groups.setNickname': ['nickname'],
  'groups.join': ['text'],
  'rooms.create': ['name', 'about'],
} as const satisfies Fields

type Words = Pick<WordScreening, 'screenText'>

/** The same handlers, of which those that write such a field get it as the list of words leaves it. */
export function screenFields(words: Words, handlers: Handlers): Handlers {
  const screened = Object.entries(SCREENED_FIELDS).map(([name, fields]) => {
    const handler = handlers[name as OperationName] as Handler<OperationName>
    const withWords: Handler<OperationName> = (params, context) =>
      handler(screenParams(words, params, fields) as typeof params, context)
    return [name, withWords]
  })
  return { ...handlers, ...Object.fromEntries(screened) }
}

/** Throws `content_refused` with `details.field`; the caller hears of it, whatever the list does with messages. */
function screenParams(words: Words, params: object, fields: readonly string[]): object {
  const screened: Record<string, unknown> = { ...params }
  for (const field of fields) {
    const value = screened[field]
    if (typeof value === 'string') screened[field] = screenText(words, field, value)
    else if (typeof value === 'object' && value !== null) screened[field] = screenValues(words, field, value)
  }
  return screened
}

/** Programs read the names, so there is no masking those. */
function screenValues(words: Words, field: string, values: object): object {
  const screened = Object.entries(values).map(([name, value]) => {
    // One that is taken away may be called anything.
    if (value !== null && words.screenText(name) !== name) throw refused(field)
    return [name, typeof value === 'string' ? screenText(words, field, value) : value]
  })
  return Object.fromEntries(screened)
}

function screenText(words: Words, field: string, text: string): string {
  const screened = words.screenText(text)
  if (screened === null) throw refused(field)
  return screened
}

const refused = (field: string) =>
  new WochatError('content_refused', `${field}: refused for what it says`, { details: { field } })
