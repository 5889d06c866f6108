/**
 * Delivers events to webhooks: each webhook by one node at a time, in the order of `seq`, at least once.
 *
 * The store knows how far every webhook is, so a worker may die at any moment: what it had posted and not settled is
 * posted again, by the node that takes the webhook over when the lease ends.
 */
import type { Logger } from 'pino'
import { startBackgroundTask } from '../background/background-task.ts'
import { LeasedWork } from '../background/leased-work.ts'
import type { WorkWatch } from '../background/work-watch.ts'
import type { OperationStore } from '../store/contract.ts'
import type { Delivery, DeliveryOutcome } from '../store/operations/operator/webhooks.ts'
import { postEvents } from './delivery.ts'

export type WebhookSettings = {
  /** Who holds the webhooks that are delivered from here. */
  node: string
  /** Nobody else has the store: what an earlier process held is taken at once. */
  isAlone: boolean
  timeoutMs: number
  /** Attempts of one batch before it is given up. */
  attemptsMax: number
  /** Before the second attempt; doubled for each further one, up to `retryMaxMs`. */
  retryMinMs: number
  retryMaxMs: number
  /** When a batch is given up: its events become dead letters, or the webhook is paused. */
  onGiveUp: 'deadLetters' | 'pause'
  /** How long events and dead letters are kept. */
  eventsKeptMs: number
}

/** Beyond the time of one attempt, for the store to answer. */
const LEASE_SPARE_MS = 5000
const BATCH_EVENTS_MAX = 100
const BATCH_CHARS_MAX = 512 * 1024
const FORGET_EVERY_MS = 60_000
/** The part of a wait that is random, so that receivers that failed together are not asked together. */
const JITTER = 0.25

export class WebhookWorker implements AsyncDisposable {
  readonly #store: Pick<OperationStore, 'perform'>
  readonly #settings: WebhookSettings
  readonly #log: Pick<Logger, 'warn'>
  readonly #delivering: LeasedWork
  readonly #forgetting: AsyncDisposable
  /** The store writes down the events that webhooks want. */
  #isWatching = false

  constructor(
    store: Pick<OperationStore, 'perform'>,
    watch: WorkWatch,
    settings: WebhookSettings,
    log: Pick<Logger, 'warn'>,
  ) {
    this.#store = store
    this.#settings = settings
    this.#log = log
    this.#delivering = new LeasedWork({
      name: 'webhooks are delivered',
      waits: () => watch.found('webhooks'),
      lease: () => this.#lease(),
      work: (id, signal) => this.#deliverAll(id, signal),
      log,
    })
    this.#forgetting = startBackgroundTask({
      name: 'old events are forgotten',
      step: () => this.#forget(),
      retryMs: FORGET_EVERY_MS,
      log,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#delivering[Symbol.asyncDispose](), this.#forgetting[Symbol.asyncDispose]()])
  }

  async #lease(): Promise<readonly string[]> {
    if (!this.#isWatching) await this.#store.perform({ task: 'watchEvents', input: {} })
    this.#isWatching = true
    return this.#store.perform({
      task: 'leaseWebhooks',
      input: { ...this.#holder(), isAlone: this.#settings.isAlone },
    })
  }

  async #deliverAll(id: string, signal: AbortSignal): Promise<void> {
    const limits = { eventsMax: BATCH_EVENTS_MAX, charsMax: BATCH_CHARS_MAX }
    const { node, timeoutMs } = this.#settings
    try {
      while (!signal.aborted) {
        const delivery = await this.#store.perform({
          task: 'takeDelivery',
          input: { ...this.#holder(), ...limits, id },
        })
        if (delivery === null) return
        const error = await postEvents(id, delivery, { timeoutMs, signal })
        // A stop is not the receiver's fault: the next node posts it again.
        if (error !== null && signal.aborted) return
        await this.#settle(id, delivery, this.#outcomeOf(delivery, error))
        if (error !== null && !delivery.isRetry) return
      }
    } finally {
      await this.#store.perform({ task: 'releaseWebhooks', input: { node, ids: [id] } })
    }
  }

  #outcomeOf({ attempts }: Delivery, error: string | null): DeliveryOutcome {
    const { attemptsMax, retryMinMs, retryMaxMs, onGiveUp } = this.#settings
    if (error === null) return { kind: 'taken' }
    if (attempts + 1 >= attemptsMax) return { kind: 'givenUp', error, pause: onGiveUp === 'pause' }
    const wait = Math.min(retryMaxMs, retryMinMs * 2 ** attempts)
    return { kind: 'failed', error, retryInMs: Math.round(wait * (1 - JITTER * Math.random())) }
  }

  async #settle(id: string, { events, ...delivery }: Delivery, outcome: DeliveryOutcome): Promise<void> {
    if (outcome.kind !== 'taken')
      this.#log.warn({ webhook: id, reason: outcome.error }, 'a webhook did not take events')
    const seqs = events.map(({ seq }) => seq)
    await this.#store.perform({
      task: 'settleDelivery',
      input: { ...this.#holder(), id, delivery, seqs, outcome },
    })
  }

  /** Some at a time; answers how long to wait, ms. */
  async #forget(): Promise<number> {
    const more = await this.#store.perform({
      task: 'forgetEvents',
      input: { keptMs: this.#settings.eventsKeptMs },
    })
    return more ? 0 : FORGET_EVERY_MS
  }

  #holder(): { node: string; leaseMs: number } {
    const { node, timeoutMs } = this.#settings
    return { node, leaseMs: timeoutMs + LEASE_SPARE_MS }
  }
}
