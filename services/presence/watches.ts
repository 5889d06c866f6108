/**
 * Who on this node watches whom, under leases; and what all nodes say of those who are watched.
 *
 * A watch was allowed when it was made. Before a change is told, the permission of a watch that is older than
 * {@link ALLOWED_FOR_MS} is looked up again, so that a block ends it soon.
 */
import { WochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import type { LiveEvent } from '../../protocol/reply.ts'
import type { LiveListener, NodePresence, PresenceBoard, PresencePart } from './ports.ts'

/** People whom one connection watches. */
const WATCHED_MAX = 1000
const ALLOWED_FOR_MS = 60_000
const SWEEP_EVERY_MS = 5000
/** People asked for again in one step after a loss. */
const REFRESHED_AT_ONCE = 500

export type PersonState = { state: 'online' | 'away' | 'offline'; lastSeen: number | null }

/** `told`: null until it is known what the other nodes say. */
type Watched = {
  watchers: Set<Watcher>
  others: Map<string, PresencePart>
  told: PersonState['state'] | null
}
type Watcher = { listener: LiveListener; leases: Map<UserId, number>; allowedAt: number }

export type WatchesParts = {
  board: PresenceBoard
  /** What this node says itself. */
  stateHere: (uid: UserId) => NodePresence
  /** Of these people, those whom the reader may see. */
  visibleTo: (reader: UserId, uids: readonly UserId[]) => Promise<ReadonlySet<UserId>>
  /** How long nobody is told that somebody went with their node. */
  offlineDelayMs: number
  /** A permission could not be looked up; nothing is told. */
  onError: (error: unknown) => void
}

export class Watches {
  readonly #parts: WatchesParts
  readonly #watched = new Map<UserId, Watched>()
  readonly #watchers = new Map<LiveListener, Watcher>()
  readonly #sweeping = setInterval(() => this.#sweep(), SWEEP_EVERY_MS).unref()
  #isRefreshing = false
  told = 0

  constructor(parts: WatchesParts) {
    this.#parts = parts
  }

  /** People who are watched here. */
  get size(): number {
    return this.#watched.size
  }

  /** Watches people whom the listener may see, until a time in ms; refuses `too_many_watches` as a whole. */
  async watch(listener: LiveListener, uids: readonly UserId[], until: number): Promise<void> {
    const watcher = this.#ensure(listener)
    const more = uids.filter((uid) => !watcher.leases.has(uid)).length
    if (watcher.leases.size + more > WATCHED_MAX) throw new WochatError('too_many_watches')
    if (watcher.leases.size === 0) watcher.allowedAt = Date.now()
    for (const uid of uids) {
      watcher.leases.set(uid, until)
      this.#join(uid, watcher)
    }
    await this.#read(uids)
    // The connection may have ended meanwhile.
    if (!listener.isOpen) this.end(listener)
  }

  /** Null: all of them. */
  unwatch(listener: LiveListener, uids: readonly UserId[] | null): void {
    const watcher = this.#watchers.get(listener)
    if (watcher === undefined) return
    const left: UserId[] = []
    for (const uid of uids ?? [...watcher.leases.keys()]) if (this.#leave(uid, watcher)) left.push(uid)
    if (watcher.leases.size === 0) this.#watchers.delete(listener)
    if (left.length > 0) this.#parts.board.unfollow(left)
  }

  end(listener: LiveListener): void {
    this.unwatch(listener, null)
  }

  // -------------------------------------------------------------- what changes

  changedHere(uid: UserId, at: number): void {
    const watched = this.#watched.get(uid)
    if (watched !== undefined) this.#update(uid, watched, at)
  }

  changedElsewhere(uid: UserId, part: PresencePart): void {
    const watched = this.#watched.get(uid)
    if (watched === undefined || !isNews(watched, part)) return
    watched.others.set(part.node, part)
    this.#update(uid, watched, part.at)
  }

  /** A node has gone; its devices mostly come back to another one at once. */
  nodeGone(node: string): void {
    const at = Date.now()
    setTimeout(() => {
      for (const [uid, watched] of this.#watched) {
        if (watched.others.delete(node)) this.#update(uid, watched, at)
      }
    }, this.#parts.offlineDelayMs).unref()
  }

  /** Changes may have been lost: all are asked for again. */
  async refresh(): Promise<void> {
    if (this.#isRefreshing) return
    this.#isRefreshing = true
    try {
      const uids = [...this.#watched.keys()]
      for (let at = 0; at < uids.length; at += REFRESHED_AT_ONCE) {
        await this.#read(uids.slice(at, at + REFRESHED_AT_ONCE))
      }
    } finally {
      this.#isRefreshing = false
    }
  }

  close(): void {
    clearInterval(this.#sweeping)
  }

  // -------------------------------------------------------------- inside

  async #read(uids: readonly UserId[]): Promise<void> {
    const read = await this.#parts.board.follow(uids)
    for (const [i, uid] of uids.entries()) {
      const watched = this.#watched.get(uid)
      if (watched === undefined) continue
      for (const part of read[i]!) if (isNews(watched, part)) watched.others.set(part.node, part)
      this.#update(uid, watched, Date.now())
    }
  }

  #update(uid: UserId, watched: Watched, at: number): void {
    const { state, lastSeen } = combine(this.#parts.stateHere(uid), [...watched.others.values()])
    const before = watched.told
    watched.told = state
    // Whoever began to watch is answered with the first state.
    if (before === null || before === state) return
    const event: LiveEvent = {
      kind: 'presence',
      uid,
      state,
      ...(state === 'offline' && { lastSeen: lastSeen ?? at }),
    }
    const payload = Buffer.from(JSON.stringify(event))
    const now = Date.now()
    for (const watcher of watched.watchers) {
      if (watcher.leases.get(uid)! <= now) continue
      if (now - watcher.allowedAt <= ALLOWED_FOR_MS) this.#tell(watcher, payload)
      else this.#tellIfVisible(watcher, uid, payload).catch(this.#parts.onError)
    }
  }

  #tell({ listener }: Watcher, payload: Buffer): void {
    this.told++
    listener.sendLive(payload)
  }

  async #tellIfVisible(watcher: Watcher, uid: UserId, payload: Buffer): Promise<void> {
    const uids = [...watcher.leases.keys()]
    const visible = await this.#parts.visibleTo(watcher.listener.uid, uids)
    watcher.allowedAt = Date.now()
    const hidden = uids.filter((each) => !visible.has(each))
    if (hidden.length > 0) this.unwatch(watcher.listener, hidden)
    if (watcher.leases.has(uid)) this.#tell(watcher, payload)
  }

  #ensure(listener: LiveListener): Watcher {
    let watcher = this.#watchers.get(listener)
    if (watcher === undefined) {
      watcher = { listener, leases: new Map(), allowedAt: 0 }
      this.#watchers.set(listener, watcher)
    }
    return watcher
  }

  #join(uid: UserId, watcher: Watcher): void {
    let watched = this.#watched.get(uid)
    if (watched === undefined) {
      watched = { watchers: new Set(), others: new Map(), told: null }
      this.#watched.set(uid, watched)
    }
    watched.watchers.add(watcher)
  }

  /** True when nobody here watches the person any more. */
  #leave(uid: UserId, watcher: Watcher): boolean {
    const watched = this.#watched.get(uid)
    if (!watcher.leases.delete(uid) || watched === undefined) return false
    watched.watchers.delete(watcher)
    return watched.watchers.size === 0 && this.#watched.delete(uid)
  }

  #sweep(): void {
    const now = Date.now()
    for (const { listener, leases } of this.#watchers.values()) {
      const over = [...leases].flatMap(([uid, until]) => (until <= now ? [uid] : []))
      if (over.length > 0) this.unwatch(listener, over)
    }
  }
}

function isNews({ others }: Watched, part: PresencePart): boolean {
  return (others.get(part.node)?.n ?? 0) < part.n
}

/** What several nodes say together: the most present of it. */
export function combine(here: NodePresence, others: readonly PresencePart[]): PersonState {
  const states = [here, ...others.map(({ state }) => state)]
  if (states.includes('online')) return { state: 'online', lastSeen: null }
  if (states.includes('away')) return { state: 'away', lastSeen: null }
  const ends = others.map(({ at }) => at)
  return { state: 'offline', lastSeen: ends.length === 0 ? null : Math.max(...ends) }
}
