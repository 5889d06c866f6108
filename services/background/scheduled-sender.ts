/** Sends planned messages when their time has come, on whichever node asks first. */
import type { Logger } from 'pino'
import { asWochatError } from '../../protocol/errors.ts'
import { peerOf } from '../../protocol/ids.ts'
import { findMarks } from '../../protocol/message-types.ts'
import { sendAndWait } from '../messages/awaited-send.ts'
import type { Store } from '../store/contract.ts'
import type { DueSend } from '../store/operations/scheduled.ts'
import { startBackgroundTask } from './background-task.ts'

/** How late a message may be, ms. */
const EVERY_MS = 500
const RETRY_MS = 5000
const SENDS_EACH = 100

type SendingStore = Pick<Store, 'perform' | 'send'>

/** Each was screened when it was planned. One that cannot be sent now, such as while the disk is full, is tried again later. */
export function startScheduledSender(store: SendingStore, log: Pick<Logger, 'warn'>): AsyncDisposable {
  return startBackgroundTask({
    name: 'planned messages are sent',
    async step() {
      const due = await store.perform({ task: 'takeDueSends', input: { limit: SENDS_EACH } })
      await Promise.all(due.map((message) => sendPlanned(store, message)))
      return due.length === SENDS_EACH ? 0 : EVERY_MS
    },
    retryMs: RETRY_MS,
    log,
  })
}

async function sendPlanned(store: SendingStore, due: DueSend): Promise<void> {
  const refusal = due.refusal ?? (await refusalOf(store, due))
  if (refusal !== 'later') await store.perform({ task: 'settleSend', input: { n: due.n, refusal } })
}

async function refusalOf(store: SendingStore, due: DueSend): Promise<string | null> {
  const { uid, device, id, log, type, bodyJson, withheld } = due
  const marks = findMarks(type, JSON.parse(bodyJson) as object)
  const send = { id, target: { log, peer: peerOf(log, uid) }, type, bodyJson }
  try {
    const seen = withheld ? { ...marks, withheld } : marks
    await sendAndWait(store, { uid, device }, { ...send, marks: seen })
    return null
  } catch (error) {
    const refused = asWochatError(error)
    return refused.retryable || refused.code === 'internal' ? 'later' : refused.code
  }
}
