/** Messages on their way in: the operations that need more than the store. */
import { randomUUID } from 'node:crypto'
import { readSend } from '../../protocol/send.ts'
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { OperationStore } from '../store/contract.ts'
import { forwardMessages } from './forwarding.ts'
import type { MessageSender } from './message-sender.ts'

type MessageParts = {
  store: Pick<OperationStore, 'perform'>
  sender: MessageSender
  payloadBytesMax: number
}

export function createMessageHandlers(
  parts: MessageParts,
): Pick<HandlersOf<'messages.'>, 'messages.send' | 'messages.forward' | 'messages.schedule'> {
  const { store, sender } = parts
  return {
    'messages.send': async (params, context) => {
      const caller = callerOf(context)
      return sender.send(caller, readSend(params, caller.uid))
    },
    'messages.forward': (params, context) => forwardMessages(parts, callerOf(context), params),
    'messages.schedule': async ({ at, requestId, ...message }, context) => {
      const caller = callerOf(context)
      const id = message.id ?? requestId ?? randomUUID()
      const send = readSend({ ...message, id }, caller.uid)
      const refusal = await sender.screen(caller, send)
      const { target, type, bodyJson, marks } = send
      const { withheld = false, sentHash } = marks ?? {}
      const planned = { caller, id, log: target.log, type, bodyJson, withheld, at }
      const screened = {
        ...(sentHash !== undefined && { sentHash }),
        ...(refusal !== null && { refusal: refusal.toWire() }),
      }
      await store.perform({ task: 'scheduleSend', input: { ...planned, ...screened } })
      return { id }
    },
  }
}
