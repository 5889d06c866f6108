/**
 * What this node has in Redis, kept there. Once a second it announces itself and looks who else lives.
 *
 * Whatever may have been lost (a lease, a connection, the data of Redis) is restored in the same order: announce, claim
 * and watch again, then tell the listener that doorbells were lost, so that it asks the store.
 */
import type { LiveRoles } from './live-roles.ts'
import type { Losses } from './losses.ts'
import type { Members } from './members.ts'
import { Restoration } from './restoration.ts'

const TICK_MS = 1000
/** Routes and watches are written again, long before their life in Redis is over. */
const RENEW_MS = 6 * 3_600_000

export type KeptInRedis = {
  members: Members
  roles: LiveRoles
  losses: Losses
  /** Each writes its part again, and resolves with whether Redis has taken all of it. */
  restored: readonly { restore(): Promise<boolean> }[]
  /** Called once a second, before the announcement. */
  onTick: () => void
}

export class Recovery {
  readonly #isReady: () => boolean
  readonly #restoration: Restoration
  #kept: KeptInRedis | null = null
  #ticker: NodeJS.Timeout | null = null
  #renewedAt = performance.now()
  /** The last time at which the lease was held, and all that this node has in Redis was there. */
  #wellAt = performance.now()

  constructor(isReady: () => boolean) {
    this.#isReady = isReady
    this.#restoration = new Restoration({ isReady, restore: () => this.#restore() })
  }

  /** Resolves when the node is announced. */
  async begin(kept: KeptInRedis): Promise<void> {
    this.#kept = kept
    await this.#refresh(kept)
    this.#ticker = setInterval(() => void this.#tick(kept), TICK_MS)
  }

  /** Something of ours may not be in Redis any more. */
  want(): void {
    this.#restoration.want()
    if (this.#ticker !== null) void this.#restoration.run()
  }

  close(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker)
    this.#restoration.close()
  }

  async #tick(kept: KeptInRedis): Promise<void> {
    kept.onTick()
    if (performance.now() - this.#renewedAt > RENEW_MS) {
      this.#renewedAt = performance.now()
      this.#restoration.want()
    }
    // While Redis is away, the next tick tries again; the client says that it is away.
    if (this.#isReady()) await this.#refresh(kept).catch(() => {})
    await this.#restoration.run()
  }

  async #refresh({ members, roles }: KeptInRedis): Promise<void> {
    const at = performance.now()
    await members.refresh()
    if (this.#restoration.isDone) this.#wellAt = at
    // A list that is not settled misses nodes that live.
    if (members.isSettled) await roles.refresh(members.live)
  }

  /** Only a tick runs it, and {@link want} after the first: so that there is something to restore. */
  async #restore(): Promise<boolean> {
    const { members, restored, losses } = this.#kept!
    // A lease that was lost is known before anything is claimed or watched under it.
    await members.refreshFromNow()
    let isComplete = true
    for (const part of restored) isComplete &&= await part.restore()
    losses.here(this.#wellAt)
    return isComplete
  }
}
