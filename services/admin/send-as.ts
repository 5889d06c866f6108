/** Sending for an account, by an operator's other systems. */
import type { AdminParams, AdminResult } from '../../protocol/admin/operations.ts'
import { WochatError } from '../../protocol/errors.ts'
import { parseUserId } from '../../protocol/ids.ts'
import { readSend } from '../../protocol/send.ts'
import type { MessageSender } from '../messages/message-sender.ts'
import type { InspectionStore } from '../store/inspection.ts'

/** Sends by the rules that hold for the account itself, screened like what it sends. Its own devices get the message, too. */
export async function sendAs(
  { store, sender }: { store: Pick<InspectionStore, 'inspectDevices'>; sender: MessageSender },
  { uid: text, ...send }: AdminParams<'sendAs'>,
): Promise<AdminResult<'sendAs'>> {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', 'uid: not a uid')
  if ((await store.inspectDevices(uid)) === null) throw new WochatError('unknown_user')
  return sender.send({ uid, device: null }, readSend(send, uid))
}
