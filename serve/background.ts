/** What goes on beside the requests, where the store is opened: once in a process that has workers, in every node of a cluster. */
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { ClientId } from '../protocol/ids.ts'
import { startErasure } from '../services/background/account-erasure.ts'
import { startExpirySweeper } from '../services/background/expiry-sweeper.ts'
import { startGroupDissolver } from '../services/background/group-dissolver.ts'
import { startImportedReading } from '../services/background/imported-reading.ts'
import { startRetention } from '../services/background/retention.ts'
import { startScheduledSender } from '../services/background/scheduled-sender.ts'
import { startSearchIndexer } from '../services/background/search-indexer.ts'
import { startSuspensionEnds } from '../services/background/suspension-ends.ts'
import { WorkWatch } from '../services/background/work-watch.ts'
import type { MediaStorage } from '../services/media/storage.ts'
import { MessageSender } from '../services/messages/message-sender.ts'
import type { MessageIntake } from '../services/messages/ports.ts'
import type { Store } from '../services/store/contract.ts'
import { expireSessions } from './housekeeping.ts'
import { startIntegration } from './integration.ts'
import { sweepMedia } from './media.ts'

type BackgroundParts = {
  config: Config
  store: Store
  /** Other processes have the store, too. */
  isShared: boolean
  /** What planned messages and broadcasts pass, like all others. */
  intake: MessageIntake
  files: MediaStorage
  /** The engine forgets a session that the store has ended; null where there is no engine. */
  endPlainSession: ((clientId: ClientId) => Promise<void>) | null
  log: Logger
  parts: AsyncDisposableStack
}

/** Starts all of it; each ends before the store closes. Nodes that share a store agree on who does what by the store's locks. */
export function startBackground(background: BackgroundParts): void {
  const { config, store, intake, endPlainSession, log, parts } = background
  if (endPlainSession !== null) expireSessions({ store, endPlainSession, log, parts })
  const watch = parts.use(new WorkWatch(store, log))
  parts.use(startSearchIndexer(store, watch, log))
  parts.use(startErasure(store, watch, log))
  parts.use(startSuspensionEnds(store, watch, log))
  parts.use(startScheduledSender({ store, sender: new MessageSender(store, intake) }, watch, log))
  parts.use(startGroupDissolver(store, watch, log))
  parts.use(startImportedReading(store, watch, log))
  parts.use(startExpirySweeper(store, watch, log))
  const keepMs = {
    direct: config.retentionDirectMs,
    system: config.retentionSystemMs,
    group: config.retentionGroupMs,
    room: config.retentionRoomMs,
    notice: config.retentionNoticeMs,
  }
  const retention = startRetention(store, { keepMs, everyMs: config.retentionEveryMs }, log)
  if (retention !== null) parts.use(retention)
  startIntegration({ ...background, watch })
  sweepMedia(background)
}
