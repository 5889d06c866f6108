/** Sends scheduled messages when their time has come, on whichever node asks first. */
import type { Logger } from 'pino'
import { asWochatError } from '../../protocol/errors.ts'
import { peerOf } from '../../protocol/ids.ts'
import { findMarks } from '../../protocol/message-types.ts'
import type { MessageSender } from '../messages/message-sender.ts'
import type { Store } from '../store/contract.ts'
import type { DueSend } from '../store/operations/messages/scheduled.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

const RETRY_MS = 5000
const SENDS_EACH = 100

type Parts = { store: Pick<Store, 'perform'>; sender: MessageSender }

/**
 * Each passes what every message passes at that time, also the screening that it passed when it was scheduled. One that
 * cannot be sent now, such as while the disk is full, is tried again later.
 */
export function startScheduledSender(
  parts: Parts,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  const { store } = parts
  return startBackgroundTask({
    name: 'scheduled messages are sent',
    async step() {
      const due = await store.perform({ task: 'takeDueSends', input: { limit: SENDS_EACH } })
      await Promise.all(due.map((message) => sendScheduled(parts, message)))
      return due.length === SENDS_EACH ? 0 : 'idle'
    },
    work: () => watch.found('scheduled'),
    retryMs: RETRY_MS,
    log,
  })
}

async function sendScheduled({ store, sender }: Parts, due: DueSend): Promise<void> {
  const refusal = due.refusal ?? (await refusalOf(sender, due))
  if (refusal !== 'later') await store.perform({ task: 'settleSend', input: { n: due.n, refusal } })
}

async function refusalOf(sender: MessageSender, due: DueSend): Promise<string | null> {
  const { uid, device, id, log, type, bodyJson, withheld, sentHash } = due
  const marks = findMarks(type, JSON.parse(bodyJson) as object)
  const screened = { ...(withheld && { withheld }), ...(sentHash !== null && { sentHash }) }
  const isScreened = withheld || sentHash !== null
  const send = { id, target: { log, peer: peerOf(log, uid) }, type, bodyJson }
  try {
    await sender.send({ uid, device }, { ...send, marks: isScreened ? { ...marks, ...screened } : marks })
    return null
  } catch (error) {
    const refused = asWochatError(error)
    return refused.retryable || refused.code === 'internal' ? 'later' : refused.code
  }
}
