/**
 * What people write beside messages, and others see: names, what a group is about, its announcement, nicknames, and the
 * texts of requests. The list of words screens it in the call that writes it, so that a refusal changes nothing. The
 * service that is asked before sends is not asked: it knows messages alone.
 */
import type { Params } from '../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../protocol/errors.ts'
import { callerOf, type Handler, type Handlers } from '../dispatcher.ts'
import type { OperationStore } from '../store/contract.ts'
import type { StoredName } from '../store/operations/operations.ts'
import { runScreened } from './screened-call.ts'
import type { WordScreening } from './word-screening.ts'

type Fields = { readonly [Name in StoredName]?: readonly (keyof Params<Name>)[] }

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
type ScreenedName = keyof typeof SCREENED_FIELDS

/** The operations that write such a field: the store gets it as the list of words leaves it. */
export function createFieldHandlers(
  store: Pick<OperationStore, 'run'>,
  words: Words,
): Pick<Handlers, ScreenedName> {
  const handlerOf = <Name extends ScreenedName>(name: Name): Handler<Name> => {
    return (params, context) =>
      runScreened(
        store,
        { name, caller: callerOf(context), params },
        () => screenParams(words, params, SCREENED_FIELDS[name]) as typeof params,
      )
  }
  const names = Object.keys(SCREENED_FIELDS) as ScreenedName[]
  return Object.fromEntries(names.map((name) => [name, handlerOf(name)])) as never
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
