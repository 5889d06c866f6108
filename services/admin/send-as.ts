/** Sending for an account, by an operator's other systems. */
import type { AdminParams, AdminResult } from '../../protocol/admin/operations.ts'
import { WochatError } from '../../protocol/errors.ts'
import { parseUserId } from '../../protocol/ids.ts'
import { readSend } from '../../protocol/send.ts'
import { sendAndWait } from '../conversations/awaited-send.ts'
import type { Store } from '../store/contract.ts'
import type { InspectionStore } from '../store/inspection.ts'

/** Sends by the rules that hold for the account itself. Its own devices get the message, too. */
export async function sendAs(
  store: Pick<Store, 'send'> & Pick<InspectionStore, 'inspectDevices'>,
  { uid: text, ...send }: AdminParams<'sendAs'>,
): Promise<AdminResult<'sendAs'>> {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', 'uid: not a uid')
  if ((await store.inspectDevices(uid)) === null) throw new WochatError('unknown_user')
  return sendAndWait(store, { uid, device: null }, readSend(send, uid))
}
