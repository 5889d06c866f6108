/**
 * The board of a node of a cluster. What is put in one turn is written together; whoever follows one of these people is
 * rung. A part that Redis did not take is put again with the next restoration, also one that says that nobody is there.
 */
import type { UserId } from '../../../protocol/ids.ts'
import type { NodePresence, PresenceBoard, PresencePart } from '../../../services/presence/ports.ts'
import type { OwnPart, PresenceKeys } from '../../../services/redis/presence.ts'
import type { NodeId } from '../bus.ts'
import type { Frame } from '../frame.ts'
import type { Members } from './members.ts'

const RESTORED_AT_ONCE = 500

export type RedisPresenceParts = {
  node: NodeId
  keys: PresenceKeys
  members: Members
  isReady: () => boolean
  ring: (node: NodeId, frame: Frame) => void
  /** A part may not be in Redis. */
  onUnsure: () => void
}

export class RedisPresence implements PresenceBoard {
  readonly #parts: RedisPresenceParts
  /** What this node says, and what it may still have to take back. */
  readonly #own = new Map<UserId, OwnPart>()
  #waiting = new Map<UserId, OwnPart>()
  #n = 0

  constructor(parts: RedisPresenceParts) {
    this.#parts = parts
  }

  put(uid: UserId, state: NodePresence, at: number): void {
    const part = { state, at, n: ++this.#n }
    this.#own.set(uid, part)
    if (this.#waiting.size === 0) setImmediate(() => void this.#writeWaiting())
    this.#waiting.set(uid, part)
  }

  read(uids: readonly UserId[]): Promise<PresencePart[][]> {
    return this.#read(uids, false)
  }

  follow(uids: readonly UserId[]): Promise<PresencePart[][]> {
    return this.#read(uids, true)
  }

  unfollow(uids: readonly UserId[]): void {
    if (!this.#parts.isReady()) return
    // One that stays is rung for nothing until its time is over.
    void this.#parts.keys.unfollow(this.#parts.node, uids)
  }

  /** Puts all again; false if Redis did not answer for each. */
  async restore(): Promise<boolean> {
    const all = [...this.#own]
    let isComplete = true
    for (let at = 0; at < all.length; at += RESTORED_AT_ONCE) {
      isComplete &&= await this.#write(all.slice(at, at + RESTORED_AT_ONCE))
    }
    return isComplete
  }

  async #writeWaiting(): Promise<void> {
    const waiting = [...this.#waiting]
    this.#waiting = new Map()
    if (!this.#parts.isReady() || !(await this.#write(waiting))) this.#parts.onUnsure()
  }

  async #write(people: readonly (readonly [UserId, OwnPart])[]): Promise<boolean> {
    const { node, keys, ring } = this.#parts
    const answers = await keys.put(node, people)
    for (const [i, followers] of answers.entries()) {
      if (followers === null) continue
      const [uid, part] = people[i]!
      for (const follower of followers) ring(follower, { kind: 'presence', uid, part })
      if (part.state === 'gone' && this.#own.get(uid) === part) this.#own.delete(uid)
    }
    return !answers.includes(null)
  }

  async #read(uids: readonly UserId[], follow: boolean): Promise<PresencePart[][]> {
    const { node, keys, members, isReady } = this.#parts
    if (!isReady() || uids.length === 0) return uids.map(() => [])
    const all = (await keys.read(node, uids, { follow })).map((parts) => parts ?? [])
    // A node that has just come is not in the list yet.
    if (!all.flat().every((part) => members.isLive(part.node))) await members.refreshFromNow().catch(() => {})
    return all.map((parts) => parts.filter((part) => part.node !== node && members.isLive(part.node)))
  }
}
