/**
 * Sends broadcasts: each by one node at a time, page by page, at a bounded rate. A message has an id that follows from
 * the broadcast and the account, so a page that was sent before a crash is sent again and stored once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type ErrorCode, WochatError } from '../../protocol/errors.ts'
import { buildDirectLog } from '../../protocol/ids.ts'
import { findMarks } from '../../protocol/message-types.ts'
import type { MessageSender } from '../messages/message-sender.ts'
import type { OperationStore } from '../store/contract.ts'
import type { BroadcastPage } from '../store/operations/operator/broadcasts.ts'
import { LeasedWork } from './leased-work.ts'
import type { WorkWatch } from './work-watch.ts'

type BroadcastSettings = {
  /** Who holds the broadcasts that are sent from here. */
  node: string
  /** Nobody else has the store: what an earlier process held is taken at once. */
  isAlone: boolean
  /** Messages that one broadcast sends in a second. */
  perSecondMax: number
}

const LEASE_MS = 20_000
const PAGE_MAX = 500
/** After a page that the store did not take in whole. */
const RETRY_MS = 1000

/** What says that this person does not take it, or not this; anything else says that it cannot be sent at this moment. */
const SKIPPED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'blocked',
  'unknown_user',
  'not_friends',
  'account_inactive',
  'content_refused',
  // Another message of the sender has the id.
  'id_conflict',
  // A file that was removed since the broadcast began.
  'unknown_media',
])

type BroadcastParts = {
  store: Pick<OperationStore, 'perform'>
  watch: WorkWatch
  sender: MessageSender
  settings: BroadcastSettings
  log: Pick<Logger, 'warn'>
}

export class BroadcastWorker implements AsyncDisposable {
  readonly #store: BroadcastParts['store']
  readonly #sender: MessageSender
  readonly #settings: BroadcastSettings
  readonly #log: Pick<Logger, 'warn'>
  readonly #sending: LeasedWork

  constructor({ store, watch, sender, settings, log }: BroadcastParts) {
    this.#store = store
    this.#sender = sender
    this.#settings = settings
    this.#log = log
    this.#sending = new LeasedWork({
      name: 'broadcasts are sent',
      waits: () => watch.found('broadcasts'),
      lease: () => this.#lease(),
      work: (id, signal) => this.#sendAll(id, signal),
      log,
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sending[Symbol.asyncDispose]()
  }

  async #lease(): Promise<readonly string[]> {
    const { node, isAlone } = this.#settings
    return this.#store.perform({ task: 'leaseBroadcasts', input: { node, isAlone, leaseMs: LEASE_MS } })
  }

  async #sendAll(id: string, signal: AbortSignal): Promise<void> {
    const { node, perSecondMax } = this.#settings
    const holder = { id, node, leaseMs: LEASE_MS }
    const limit = Math.min(PAGE_MAX, perSecondMax)
    try {
      while (!signal.aborted) {
        const startedAt = performance.now()
        const page = await this.#store.perform({ task: 'pageBroadcast', input: { ...holder, limit } })
        if (page === null) return
        const sent = await this.#sendPage(id, page)
        if (sent === null) await pause(RETRY_MS, signal)
        else {
          const { through, to } = page
          const counts = { sent, skipped: to.length - sent }
          await this.#store.perform({ task: 'advanceBroadcast', input: { ...holder, through, ...counts } })
          await pause((to.length / perSecondMax) * 1000 - (performance.now() - startedAt), signal)
        }
      }
    } finally {
      await this.#store.perform({ task: 'releaseBroadcast', input: { id, node } })
    }
  }

  /** How many of the page have it; null when the page must be sent again. */
  async #sendPage(id: string, { from, type, bodyJson, to }: BroadcastPage): Promise<number | null> {
    const marks = findMarks(type, JSON.parse(bodyJson) as object)
    const outcomes = await Promise.allSettled(
      to.map(({ account, uid }) =>
        this.#sender.send(
          { uid: from, device: null },
          {
            id: `b:${id}:${account}`,
            target: { log: buildDirectLog(from, uid), peer: uid },
            type,
            bodyJson,
            marks,
          },
        ),
      ),
    )
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason)
    const fault = failures.find((error) => !(error instanceof WochatError && SKIPPED.has(error.code)))
    if (fault === undefined) return to.length - failures.length
    this.#log.warn({ broadcast: id, err: fault }, 'a page of a broadcast is sent again')
    return null
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal, ref: false }).catch(() => {})
}
