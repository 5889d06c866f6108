/**
 * The order of one account: a call waits for the account's earlier sends and calls, and its later ones wait for the
 * call. An account that only sends has no state here.
 */
import type { UserId } from '../../../protocol/ids.ts'
import type { SendJob } from '../contract.ts'

type Item = { job: SendJob } | { call: () => Promise<void> }

/** Where sends go, and when those of an account are decided. */
export type SendOrder = {
  push(job: SendJob): void
  pendingOf(uid: UserId): Promise<void> | null
}

export class AccountOrder {
  readonly #sends: SendOrder
  /** What waits behind a call, by account; an account without a call under way has no lane. */
  readonly #lanes = new Map<UserId, Item[]>()
  readonly #working = new Set<Promise<void>>()

  constructor(sends: SendOrder) {
    this.#sends = sends
  }

  send(job: SendJob): void {
    const lane = this.#lanes.size === 0 ? undefined : this.#lanes.get(job.uid)
    if (lane === undefined) this.#sends.push(job)
    else lane.push({ job })
  }

  /** Runs the call in its turn. */
  call<Result>(uid: UserId, run: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const call = () => run().then(resolve, reject)
      const lane = this.#lanes.get(uid)
      if (lane !== undefined) {
        lane.push({ call })
        return
      }
      const items: Item[] = [{ call }]
      this.#lanes.set(uid, items)
      const working = this.#work(uid, items).finally(() => this.#working.delete(working))
      this.#working.add(working)
    })
  }

  /** Resolves when the calls that are here now are over, and the sends behind them handed on. */
  async drained(): Promise<void> {
    await Promise.all(this.#working)
  }

  async #work(uid: UserId, items: Item[]): Promise<void> {
    for (;;) {
      const item = items.shift()
      if (item === undefined) break
      if ('job' in item) {
        this.#sends.push(item.job)
        continue
      }
      await this.#sends.pendingOf(uid)
      await item.call()
    }
    this.#lanes.delete(uid)
  }
}
