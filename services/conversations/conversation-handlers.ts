/** Sending by call: the one operation of messages that the commit of sends answers. */
import { readSend } from '../../protocol/send.ts'
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { Store } from '../store/contract.ts'
import { sendAndWait } from './awaited-send.ts'

export function createConversationHandlers(
  store: Pick<Store, 'send'>,
): Pick<HandlersOf<'messages.'>, 'messages.send'> {
  return {
    'messages.send': async (params, context) => {
      const caller = callerOf(context)
      return sendAndWait(store, caller, readSend(params, caller.uid))
    },
  }
}
