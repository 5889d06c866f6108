/**
 * What several engines around one store must know of each other: versions of what their indexes hold, and the newest
 * connection of each session. In memory, because every engine ends with the process that has the store.
 */
import type { PlainStep } from '../plain.ts'
import type { Database } from './database.ts'

/** Changes that are kept; an engine that is further behind reads everything again. */
const CHANGES_KEPT = 5_000

export type PlainChange = { kind: 'session' | 'topic'; name: string }

export class PlainNodes {
  #version = 0
  /** The last ones; the newest is that of `#version`. */
  #changes: PlainChange[] = []
  #generation = 0
  /** Of sessions that were resumed since the start, by their number. */
  readonly #generations = new Map<number, number>()

  get version(): number {
    return this.#version
  }

  /** A transaction that is rolled back has noted a change too many: then something is read again for nothing. */
  note(...changes: PlainChange[]): PlainStep {
    const from = this.#version
    this.#version += changes.length
    this.#changes.push(...changes)
    if (this.#changes.length > 2 * CHANGES_KEPT) this.#changes = this.#changes.slice(-CHANGES_KEPT)
    return { from, to: this.#version }
  }

  /** Null: not known any more. */
  since(version: number): PlainChange[] | null {
    const count = this.#version - version
    if (count > this.#changes.length) return null
    return count <= 0 ? [] : this.#changes.slice(-count)
  }

  resume(session: number): number {
    this.#generation++
    this.#generations.set(session, this.#generation)
    return this.#generation
  }

  /** Whether a connection is the newest of its session; `generation` null is not checked. */
  holds(session: number, generation: number | null): boolean {
    return generation === null || this.#generations.get(session) === generation
  }

  end(session: number): void {
    this.#generations.delete(session)
  }
}

const byDatabase = new WeakMap<Database, PlainNodes>()

export function plainNodesOf(db: Database): PlainNodes {
  let nodes = byDatabase.get(db)
  if (nodes === undefined) {
    nodes = new PlainNodes()
    byDatabase.set(db, nodes)
  }
  return nodes
}
