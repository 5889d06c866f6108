/**
 * Messages on their way to the store.
 *
 * A store of one process is handed them as they come, those of a moment together: it keeps their order. To a store
 * that nodes share they go one batch after the other, because two transactions may be committed in another order than they were begun; and the
 * targets of a batch are chosen when it goes, again if another node has changed the subscriptions meanwhile.
 */
import { WochatError } from '../../protocol/errors.ts'
import type { PlainOutcome, PlainTarget } from '../../services/store/plain.ts'
import type { RoutedPacket } from './packet.ts'
import type { PublishInput, RoutingPersistence } from './persistence.ts'
import type { Receiver } from './router.ts'
import type { Match } from './session-index.ts'

/** Messages and payload of one batch; one message is always taken. */
const BATCH_MESSAGES = 500
const BATCH_BYTES = 4 * 1024 * 1024
/** How often a batch finds the subscriptions changed before it is refused as busy. */
const TRIES_MAX = 100

/** A session that a message is to wait for; its receiver, if it is attached here. */
export type Target = { receiver: Receiver | undefined; packetId: number | null; match: Match }

type Commit = {
  packet: RoutedPacket
  from: string | null
  receipt: PublishInput['receipt']
  will: PublishInput['will']
  targets: ReadonlyMap<string, Target>
  /** Called once. */
  decided: (outcome: PlainOutcome | Error) => void
}

type ChooseTargets = (packet: RoutedPacket, from: string | null) => ReadonlyMap<string, Target>

export class Commits {
  readonly #persistence: RoutingPersistence
  readonly #choose: ChooseTargets
  readonly #waiting: Commit[] = []
  #isRunning = false

  constructor(persistence: RoutingPersistence, choose: ChooseTargets) {
    this.#persistence = persistence
    this.#choose = choose
  }

  /** Takes a message; its targets are chosen already if the store is ours alone. */
  add(commit: Commit): void {
    this.#waiting.push(commit)
    if (this.#isRunning) return
    this.#isRunning = true
    if (this.#persistence.isShared) setImmediate(() => void this.#runInTurn())
    // With those that are decided on in this moment.
    else queueMicrotask(() => this.#runAtOnce())
  }

  #runAtOnce(): void {
    this.#isRunning = false
    while (this.#waiting.length > 0) void this.#store(this.#takeBatch())
  }

  async #runInTurn(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch()
      for (let tries = 0; batch.length > 0; tries++) {
        for (const commit of batch) commit.targets = this.#choose(commit.packet, commit.from)
        if (await this.#store(batch, tries)) break
      }
    }
    this.#isRunning = false
  }

  #takeBatch(): Commit[] {
    return this.#waiting.splice(0, this.#batchLength()).filter((commit) => !this.#refuse(commit))
  }

  #toInput({ packet, receipt, will, targets }: Commit): PublishInput {
    const { isShared } = this.#persistence
    return { packet, retain: packet.retain, targets: toPlainTargets(targets, isShared), receipt, will }
  }

  #batchLength(): number {
    let bytes = 0
    const end = this.#waiting.findIndex(({ packet }, i) => {
      bytes += packet.payload.length
      return i === BATCH_MESSAGES || (i > 0 && bytes > BATCH_BYTES)
    })
    return end === -1 ? this.#waiting.length : end
  }

  #refuse(commit: Commit): boolean {
    const refusal = this.#persistence.refusalOf(commit.packet)
    if (refusal !== null) commit.decided(refusal)
    return refusal !== null
  }

  /** False: they must be tried again. */
  async #store(commits: readonly Commit[], tries = 0): Promise<boolean> {
    if (commits.length === 0) return true
    const results = await this.#publish(commits, tries).catch((error: Error) => error)
    if (results === null) return false
    commits.forEach(({ decided }, i) => {
      decided(results instanceof Error ? results : results[i]!)
    })
    return true
  }

  async #publish(commits: readonly Commit[], tries: number): Promise<PlainOutcome[] | null> {
    const outcomes = await this.#persistence.publish(commits.map((commit) => this.#toInput(commit)))
    if (outcomes !== null) return outcomes
    for (const commit of commits) {
      for (const { receiver, packetId } of commit.targets.values()) receiver?.notQueued(packetId)
      commit.targets = new Map()
    }
    if (tries >= TRIES_MAX) throw new WochatError('busy', 'Subscriptions change too fast.')
    await this.#persistence.follower.catchUp()
    return null
  }
}

export function toPlainTargets(targets: ReadonlyMap<string, Target>, isShared: boolean): PlainTarget[] {
  return [...targets].map(([clientId, { receiver, packetId, match }]) => ({
    clientId,
    packetId,
    generation: isShared ? (receiver?.generation ?? null) : null,
    ...match,
  }))
}
