/** What people may do in conversations, live: asked of the store once and believed for some seconds, not once per keystroke. */
import type { LogId, UserId } from '../../protocol/ids.ts'
import type { Store } from '../../services/store/contract.ts'
import type { LiveRights } from '../../services/store/operations/presence-tasks.ts'

const BELIEVED_MS = 10_000
const KNOWN_MAX = 20_000

type Known = { rights: Promise<LiveRights>; until: number }

export class KnownRights {
  readonly #store: Pick<Store, 'perform'>
  readonly #known = new Map<string, Known>()

  constructor(store: Pick<Store, 'perform'>) {
    this.#store = store
  }

  /** Rejects while the store is away. */
  find(uid: UserId, log: LogId): Promise<LiveRights> {
    const name = `${uid} ${log}`
    const now = performance.now()
    const known = this.#known.get(name)
    if (known !== undefined && known.until > now) return known.rights
    const rights = this.#store.perform({ task: 'findLiveRights', input: { uid, log } })
    // The oldest go first, because a name that is asked again is put at the end.
    this.#known.delete(name)
    this.#known.set(name, { rights, until: now + BELIEVED_MS })
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!)
    rights.catch(() => this.#known.delete(name))
    return rights
  }
}
