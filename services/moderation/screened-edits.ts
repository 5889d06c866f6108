/** Edits pass what messages pass: else a word that is refused could be edited into a message that was sent. */
import { WochatError } from '../../protocol/errors.ts'
import { parseLog, peerOf } from '../../protocol/ids.ts'
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { MessageIntake } from '../messages/ports.ts'
import {
  ACCEPT,
  refusalError,
  type ScreenedMessage,
  screenAlone,
  type Verdict,
} from '../messages/screening.ts'
import type { Caller, OperationStore } from '../store/contract.ts'
import { runScreened } from './screened-call.ts'

export function createEditHandlers(
  store: Pick<OperationStore, 'run'>,
  intake: Pick<MessageIntake, 'screening'>,
): Pick<HandlersOf<'messages.'>, 'messages.edit'> {
  return {
    'messages.edit': async (params, context) => {
      const caller = callerOf(context)
      const { screening } = intake
      if (screening === null) return store.run({ name: 'messages.edit', caller, params })
      const message = await findEdited(store, caller, params)
      const verdict = message === null ? ACCEPT : await screenAlone(screening, message)
      return runScreened(store, { name: 'messages.edit', caller, params }, () => ({
        ...params,
        body: bodyAfter(params.body, verdict),
      }))
    },
  }
}

/** The message with its new body; null for one that the caller does not see, whose edit the store refuses. */
async function findEdited(
  store: Pick<OperationStore, 'run'>,
  caller: Caller,
  { log, seq, body }: { log: string; seq: number; body: Record<string, unknown> },
): Promise<ScreenedMessage | null> {
  const { entries } = await store.run({ name: 'messages.get', caller, params: { log, seqs: [seq] } })
  const [entry] = entries
  const parsed = parseLog(log)
  if (entry === undefined || parsed === undefined) return null
  const { uid, device } = caller
  const peer = peerOf(parsed.log, uid)
  const bodyJson = JSON.stringify(body)
  return { uid, device, id: entry.id ?? null, log: parsed.log, peer, type: entry.type, bodyJson }
}

/** A body that nobody else may see is refused: the message before it is there already. */
function bodyAfter(body: Record<string, unknown>, verdict: Verdict): Record<string, unknown> {
  if (verdict.verdict === 'refuse') throw refusalError(verdict)
  if (verdict.verdict === 'withhold') throw new WochatError('content_refused')
  return verdict.verdict === 'replace' ? verdict.body : body
}
