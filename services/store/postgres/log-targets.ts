/** What sends need to know of logs beside their rows: their numbers, and the two people of a direct log. */
import { type LogId, parseLog, type UserId } from '../../../protocol/ids.ts'

/** Some 300 bytes each. */
const CACHED_MAX = 100_000

export const NO_LOG = 0
export const GROUP = 1
export const DIRECT = 2
export const SELF = 3

export type LogTarget = {
  readonly name: LogId
  readonly kind: typeof NO_LOG | typeof GROUP | typeof DIRECT | typeof SELF
  /** Of a direct log. */
  readonly a: UserId
  readonly b: UserId
  /** Number of the log's row, which never changes; 0 until it is known to be committed. */
  n: number
}

const NOBODY = '' as UserId

export class LogTargets {
  readonly #targets = new Map<LogId, LogTarget>()

  of(name: LogId): LogTarget {
    let target = this.#targets.get(name)
    if (target === undefined) {
      target = describe(name)
      if (this.#targets.size >= CACHED_MAX) this.#targets.clear()
      this.#targets.set(name, target)
    }
    return target
  }
}

function describe(name: LogId): LogTarget {
  const parsed = parseLog(name)
  if (parsed?.kind === 'direct') {
    return { name, kind: parsed.a === parsed.b ? SELF : DIRECT, a: parsed.a, b: parsed.b, n: 0 }
  }
  return { name, kind: parsed?.kind === 'group' ? GROUP : NO_LOG, a: NOBODY, b: NOBODY, n: 0 }
}
