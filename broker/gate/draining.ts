/**
 * Emptying a node without losing anything: its devices are asked to go elsewhere, some at a time.
 *
 * States: `none`; `announced` (/readyz is red, connections are still taken, until the load balancer has seen it);
 * `closing` (nobody is let in, connections are closed in steps); `drained`. {@link Draining.end} goes back to `none`
 * from everywhere. {@link Draining.shed} closes a number of connections in the same way and lets new ones in.
 *
 * A connection leaves in this order: no new entries are sent to it, and its PUBACKs get a moment to come; nothing
 * more is read from it; what it has sent is answered; then it is closed. Whatever is late comes again elsewhere.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { DRAIN_STATES } from '../../protocol/admin/rows.ts'
import type { DrainAnswer } from '../../services/admin/cluster-port.ts'
import type { Admission } from './admission.ts'
import { ReasonCode } from './codec/constants.ts'
import type { Connection } from './connection.ts'
import type { Registry } from './registry.ts'

/** For the PUBACKs of what was sent; a device that is well needs a round trip. */
const ACKS_WAIT_MS = 500
/** For the commits of what was received. */
const ANSWERS_WAIT_MS = 5000
/** For its cursors to be in the store, before the next step begins. */
const LEFT_WAIT_MS = 2000
const LOOK_EVERY_MS = 10
/** A CONNECT that was under way when the drain began is looked for again after this. */
const STRAGGLERS_EVERY_MS = 50

type DrainSettings = {
  drainStepConnections: number
  drainStepMs: number
  readyDelayMs: number
}

export class Draining implements Disposable {
  state: (typeof DRAIN_STATES)[number] = 'none'
  readonly #registry: Registry
  readonly #admission: Pick<Admission, 'isDraining'>
  readonly #settings: DrainSettings
  #startedAt: number | null = null
  #connectionsAtStart = 0
  #run = new AbortController()
  #isShedding = false

  constructor(registry: Registry, admission: Pick<Admission, 'isDraining'>, settings: DrainSettings) {
    this.#registry = registry
    this.#admission = admission
    this.#settings = settings
  }

  get status(): DrainAnswer {
    return {
      state: this.state,
      startedAt: this.#startedAt,
      connectionsAtStart: this.#connectionsAtStart,
      connectionsLeft: this.#registry.all.size,
    }
  }

  /** Begins to empty the node, if it does not yet. */
  start(): void {
    if (this.state !== 'none') return
    this.#cancel()
    this.state = 'announced'
    this.#startedAt = Date.now()
    this.#connectionsAtStart = this.#registry.all.size
    this.#drain(this.#run.signal).catch(ignoreAbort)
  }

  /** Lets connections in again. */
  end(): void {
    this.#cancel()
    this.state = 'none'
    this.#startedAt = null
    this.#connectionsAtStart = 0
    this.#admission.isDraining = false
  }

  /** Sends some devices elsewhere, chosen at random; does nothing while another such run or a drain is on. */
  shed(count: number): void {
    if (this.state !== 'none' || this.#isShedding) return
    const chosen = sample([...this.#registry.all].filter(isInUse), count)
    this.#isShedding = true
    this.#shed(chosen, this.#run.signal)
      .catch(ignoreAbort)
      .finally(() => {
        this.#isShedding = false
      })
  }

  [Symbol.dispose](): void {
    this.#cancel()
  }

  #cancel(): void {
    this.#run.abort()
    this.#run = new AbortController()
  }

  async #drain(signal: AbortSignal): Promise<void> {
    const { readyDelayMs, drainStepConnections } = this.#settings
    if (readyDelayMs > 0) await sleep(readyDelayMs, undefined, { signal })
    this.#admission.isDraining = true
    this.state = 'closing'
    this.#connectionsAtStart = this.#registry.all.size
    for (;;) {
      const rest = [...this.#registry.all].filter(isInUse)
      if (rest.length === 0) break
      const step = rest.filter(({ state }) => state === 'open').slice(0, drainStepConnections)
      await this.#closeStep(step, rest.length > step.length, signal)
    }
    this.state = 'drained'
  }

  async #shed(chosen: Connection[], signal: AbortSignal): Promise<void> {
    const { drainStepConnections } = this.#settings
    for (let i = 0; i < chosen.length; i += drainStepConnections) {
      const step = chosen.slice(i, i + drainStepConnections)
      await this.#closeStep(step, i + step.length < chosen.length, signal)
    }
  }

  async #closeStep(step: Connection[], isMoreToCome: boolean, signal: AbortSignal): Promise<void> {
    await Promise.all(step.map((connection) => leave(connection, signal)))
    if (signal.aborted) throw signal.reason
    if (!isMoreToCome) return
    // Clients that all come back at the same moment would be the next load peak.
    const pauseMs =
      step.length === 0 ? STRAGGLERS_EVERY_MS : this.#settings.drainStepMs * (0.5 + Math.random())
    await sleep(pauseMs, undefined, { signal })
  }
}

/** A socket that has not sent its CONNECT is refused when it does. */
function isInUse({ state }: Connection): boolean {
  return state === 'open' || state === 'opening'
}

async function leave(connection: Connection, signal: AbortSignal): Promise<void> {
  if (connection.state !== 'open') return
  connection.leaving = 'settling'
  const { session, plain } = connection.identity
  await until(
    () => signal.aborted || connection.state !== 'open' || session.inflight.unacked + plain.inflight === 0,
    ACKS_WAIT_MS,
  )
  if (signal.aborted) {
    connection.leaving = 'no'
    connection.onDrain()
    return
  }
  // What it still sends is for the next server.
  connection.leaving = 'silent'
  connection.transport.pause()
  await until(() => connection.state !== 'open' || connection.answersWaiting === 0, ANSWERS_WAIT_MS)
  connection.disconnect(ReasonCode.useAnotherServer)
  await Promise.race([connection.left, sleep(LEFT_WAIT_MS, undefined, { ref: false })])
}

async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const endAt = performance.now() + timeoutMs
  while (!condition() && performance.now() < endAt) await sleep(LOOK_EVERY_MS)
}

/** Some of `items`, each as likely as the others. */
function sample<Item>(items: Item[], count: number): Item[] {
  const size = Math.min(count, items.length)
  for (let i = 0; i < size; i++) {
    const other = i + Math.floor(Math.random() * (items.length - i))
    const item = items[i]!
    items[i] = items[other]!
    items[other] = item
  }
  return items.slice(0, size)
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}
