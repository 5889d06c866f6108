/** Conversations and messages: the `conversations.` and `messages.` parts of the catalogue. */
import { readSend } from '../../protocol/send.ts'
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { ConversationStore, Store } from '../store/contract.ts'
import { sendAndWait } from './awaited-send.ts'

export function createConversationHandlers(
  store: ConversationStore & Pick<Store, 'send'>,
): Pick<
  HandlersOf<'conversations.' | 'messages.'>,
  'conversations.list' | 'conversations.read' | 'messages.send' | 'messages.page'
> {
  return {
    'conversations.list': (params, context) => store.conversations({ ...params, caller: callerOf(context) }),
    'conversations.read': (params, context) => store.markRead({ ...params, caller: callerOf(context) }),
    'messages.send': async (params, context) => {
      const caller = callerOf(context)
      return sendAndWait(store, caller, readSend(params, caller.uid))
    },
    'messages.page': (params, context) => store.page({ ...params, caller: callerOf(context) }),
  }
}
