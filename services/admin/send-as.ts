/** Sending for an account, by an operator's other systems. */
import type { AdminParams, AdminResult } from '../../protocol/admin/operations.ts'
import { WochatError } from '../../protocol/errors.ts'
import { parseUserId } from '../../protocol/ids.ts'
import { readSend } from '../../protocol/send.ts'
import type { MessageSender } from '../messages/message-sender.ts'
import type { OperationStore } from '../store/contract.ts'

/** Sends by the rules that hold for the account itself, screened like what it sends. Its own devices get the message, too. */
export async function sendAs(
  { store, sender }: { store: Pick<OperationStore, 'run'>; sender: MessageSender },
  { uid: text, ...send }: AdminParams<'sendAs'>,
): Promise<AdminResult<'sendAs'>> {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', 'uid: not a uid')
  const caller = { uid, device: null }
  const { items } = await store.run({ name: 'profile.get', caller, params: {} })
  if (items[0] === undefined) throw new WochatError('unknown_user')
  if (items[0].state !== 'active') throw new WochatError('account_inactive')
  return sender.send(caller, readSend(send, uid))
}
