/** What works for other systems of the operator in the background: webhooks and broadcasts. */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { BroadcastWorker } from '../services/background/broadcast-worker.ts'
import type { WorkWatch } from '../services/background/work-watch.ts'
import { MessageSender } from '../services/messages/message-sender.ts'
import type { MessageIntake } from '../services/messages/ports.ts'
import type { Store } from '../services/store/contract.ts'
import { WebhookWorker } from '../services/webhooks/webhook-worker.ts'

type IntegrationParts = {
  config: Config
  store: Store
  watch: WorkWatch
  /** Broadcasts pass it like all other messages. */
  intake: MessageIntake
  /** Other processes have the store, too: what one of them was about is taken over when its lease ends, and not before. */
  isShared: boolean
  log: Logger
  parts: AsyncDisposableStack
}

/** Any number of nodes may run them: each webhook and each broadcast is taken by one. */
export function startIntegration({
  config,
  store,
  watch,
  intake,
  isShared,
  log,
  parts,
}: IntegrationParts): void {
  const holder = { node: randomUUID(), isAlone: !isShared }
  parts.use(
    new WebhookWorker(
      store,
      watch,
      {
        ...holder,
        timeoutMs: config.webhookTimeoutMs,
        attemptsMax: config.webhookAttemptsMax,
        retryMinMs: config.webhookRetryMinMs,
        retryMaxMs: config.webhookRetryMaxMs,
        onGiveUp: config.webhookGiveUp,
        eventsKeptMs: config.eventsKeptMs,
      },
      log,
    ),
  )
  const sender = new MessageSender(store, intake, { isOperators: true })
  const { broadcastsPerSecondMax: perSecondMax } = config
  parts.use(new BroadcastWorker({ store, watch, sender, settings: { ...holder, perSecondMax }, log }))
}
