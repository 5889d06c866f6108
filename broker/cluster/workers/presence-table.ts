/** Who is there on the workers of one machine: what each says of a person, and which of them follow whom. */
import type { UserId } from '../../../protocol/ids.ts'
import type { PresencePart } from '../../../services/presence/ports.ts'
import type { NodeId } from '../bus.ts'

type Row = { parts: Map<NodeId, PresencePart>; followers: Set<NodeId> }

export class PresenceTable {
  readonly #rows = new Map<UserId, Row>()

  /** Takes what a worker says; answers the others that follow the person. */
  put(uid: UserId, part: PresencePart): NodeId[] {
    const row = this.#ensure(uid)
    if (part.state === 'gone') row.parts.delete(part.node)
    else row.parts.set(part.node, part)
    const followers = [...row.followers].filter((node) => node !== part.node)
    this.#dropIfEmpty(uid, row)
    return followers
  }

  /** What workers other than `node` say. */
  read(node: NodeId, uids: readonly UserId[]): PresencePart[][] {
    return uids.map((uid) => [...(this.#rows.get(uid)?.parts.values() ?? [])].filter((p) => p.node !== node))
  }

  follow(node: NodeId, uids: readonly UserId[]): void {
    for (const uid of uids) this.#ensure(uid).followers.add(node)
  }

  unfollow(node: NodeId, uids: readonly UserId[]): void {
    for (const uid of uids) {
      const row = this.#rows.get(uid)
      if (row === undefined) continue
      row.followers.delete(node)
      this.#dropIfEmpty(uid, row)
    }
  }

  /** The worker is gone, with everything that it said. */
  drop(node: NodeId): void {
    for (const [uid, row] of this.#rows) {
      row.parts.delete(node)
      row.followers.delete(node)
      this.#dropIfEmpty(uid, row)
    }
  }

  #ensure(uid: UserId): Row {
    let row = this.#rows.get(uid)
    if (row === undefined) {
      row = { parts: new Map(), followers: new Set() }
      this.#rows.set(uid, row)
    }
    return row
  }

  #dropIfEmpty(uid: UserId, { parts, followers }: Row): void {
    if (parts.size === 0 && followers.size === 0) this.#rows.delete(uid)
  }
}
