/** Messages on their way in: the operations that need more than the store. */
import { readSend } from '../../protocol/send.ts'
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { MessageSender } from './message-sender.ts'

export function createMessageHandlers(sender: MessageSender): Pick<HandlersOf<'messages.'>, 'messages.send'> {
  return {
    'messages.send': async (params, context) => {
      const caller = callerOf(context)
      return sender.send(caller, readSend(params, caller.uid))
    },
  }
}
