/**
 * Messages on their way to the store.
 *
 * A store of one process takes each by itself: it gathers commits on its own. To a store that nodes share they go one
 * batch after the other, because two transactions may be committed in another order than they were begun; and the
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

export type Commit = {
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

  /** Takes a message whose targets are not chosen yet, unless the store is ours alone. */
  add(commit: Commit): void {
    if (!this.#persistence.isShared) {
      void this.#store([commit])
      return
    }
    this.#waiting.push(commit)
    if (this.#isRunning) return
    this.#isRunning = true
    // With those of the same turn.
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#batchLength())
      const unrefused = batch.filter((commit) => !this.#refuse(commit))
      for (let tries = 0; unrefused.length > 0; tries++) {
        for (const commit of unrefused) commit.targets = this.#choose(commit.packet, commit.from)
        if (await this.#store(unrefused, tries)) break
      }
    }
    this.#isRunning = false
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
    try {
      const outcomes = await this.#persistence.publish(commits.map(toInput))
      if (outcomes !== null) {
        commits.forEach(({ decided }, i) => {
          decided(outcomes[i]!)
        })
        return true
      }
      for (const { targets } of commits) {
        for (const { receiver, packetId } of targets.values()) receiver?.notQueued(packetId)
      }
      for (const commit of commits) commit.targets = new Map()
      if (tries >= TRIES_MAX) throw new WochatError('busy', 'Subscriptions change too fast.')
      await this.#persistence.follower.catchUp()
      return false
    } catch (error) {
      for (const { decided } of commits) decided(error as Error)
      return true
    }
  }
}

function toInput({ packet, receipt, will, targets }: Commit): PublishInput {
  return { packet, retain: packet.retain, targets: toPlainTargets(targets), receipt, will }
}

export function toPlainTargets(targets: ReadonlyMap<string, Target>): PlainTarget[] {
  return [...targets].map(([clientId, { receiver, packetId, match }]) => ({
    clientId,
    packetId,
    generation: receiver?.generation ?? null,
    ...match,
  }))
}
