/** Handlers of the operations that the store answers alone. */
import { JsonText } from '../protocol/json-text.ts'
import { callerOf, type Handler, type TextHandler } from './dispatcher.ts'
import type { OperationStore } from './store/contract.ts'
import { STORED_OPERATIONS, type StoredName } from './store/operations/operations.ts'

/** Those of hundreds of items come as the text that is sent: the store's thread makes it, not the event loop. */
const ANSWERED_AS_TEXT = ['conversations.list', 'conversations.changes', 'messages.page'] as const

type TextName = (typeof ANSWERED_AS_TEXT)[number]

export type StoredHandlers = {
  readonly [Name in StoredName]: Name extends TextName ? TextHandler<Name> : Handler<Name>
}

export function createStoredHandlers(store: OperationStore): StoredHandlers {
  const handlerOf = <Name extends StoredName>(name: Name): Handler<Name> => {
    return (params, context) => store.run({ name, caller: callerOf(context), params })
  }
  const textHandlerOf = <Name extends TextName>(name: Name): TextHandler<Name> => {
    return async (params, context) =>
      new JsonText(await store.runAsText({ name, caller: callerOf(context), params }))
  }
  const names = Object.keys(STORED_OPERATIONS) as StoredName[]
  return Object.fromEntries([
    ...names.map((name) => [name, handlerOf(name)]),
    ...ANSWERED_AS_TEXT.map((name) => [name, textHandlerOf(name)]),
  ]) as unknown as StoredHandlers
}
