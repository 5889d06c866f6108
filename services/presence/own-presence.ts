/**
 * Who is connected to this node, counted by connections that somebody looks at and others. That nobody is there any
 * more is told after a delay, so that a connection that is cut and comes back is no news.
 */
import type { UserId } from '../../protocol/ids.ts'
import type { NodePresence } from './ports.ts'

/** How often it is looked who has been gone long enough; the delay is longer by up to this. */
const SWEEP_EVERY_MS = 250

type Person = { foreground: number; background: number; told: NodePresence; leftAt: number }

export class OwnPresence {
  readonly #offlineDelayMs: number
  readonly #tell: (uid: UserId, state: NodePresence, at: number) => void
  readonly #people = new Map<UserId, Person>()
  /** In the order of their going. */
  readonly #leaving = new Set<UserId>()
  #timer: NodeJS.Timeout | null = null

  constructor(offlineDelayMs: number, tell: (uid: UserId, state: NodePresence, at: number) => void) {
    this.#offlineDelayMs = offlineDelayMs
    this.#tell = tell
  }

  /** People who are connected, or were until a moment ago. */
  get size(): number {
    return this.#people.size
  }

  /** What this node tells of a person. */
  stateOf(uid: UserId): NodePresence {
    return this.#people.get(uid)?.told ?? 'gone'
  }

  /** A connection begins in the foreground. */
  connected(uid: UserId): void {
    let person = this.#people.get(uid)
    if (person === undefined) {
      person = { foreground: 0, background: 0, told: 'gone', leftAt: 0 }
      this.#people.set(uid, person)
    }
    person.foreground++
    this.#leaving.delete(uid)
    this.#update(uid, person)
  }

  disconnected(uid: UserId, isForeground: boolean): void {
    const person = this.#people.get(uid)
    if (person === undefined) return
    if (isForeground) person.foreground--
    else person.background--
    this.#update(uid, person)
  }

  /** A connection went to the foreground, or to the background. */
  moved(uid: UserId, toForeground: boolean): void {
    const person = this.#people.get(uid)
    if (person === undefined) return
    person.foreground += toForeground ? 1 : -1
    person.background += toForeground ? -1 : 1
    this.#update(uid, person)
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #update(uid: UserId, person: Person): void {
    if (person.foreground + person.background === 0) {
      person.leftAt = Date.now()
      this.#leaving.delete(uid)
      this.#leaving.add(uid)
      this.#timer ??= setInterval(() => this.#sweep(), SWEEP_EVERY_MS).unref()
      return
    }
    const state = person.foreground > 0 ? 'online' : 'away'
    if (state === person.told) return
    person.told = state
    this.#tell(uid, state, Date.now())
  }

  #sweep(): void {
    const until = Date.now() - this.#offlineDelayMs
    for (const uid of this.#leaving) {
      const { leftAt } = this.#people.get(uid)!
      if (leftAt > until) return
      this.#leaving.delete(uid)
      this.#people.delete(uid)
      this.#tell(uid, 'gone', leftAt)
    }
    this.close()
  }
}
