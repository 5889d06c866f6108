/** The `acl` claim: application topics that a token grants. */
import { isContractTopic } from '../../protocol/topics.ts'

export type Acl = { pub: readonly string[]; sub: readonly string[] }

/** Filters of one kind in one token; more make the password of a CONNECT too long anyway. */
const FILTERS_MAX = 100
const FILTER_CHARS_MAX = 1024

export const NO_GRANTS: Acl = { pub: [], sub: [] }

/**
 * Reads the claim; `undefined` when it is not `{"pub"?: [filters], "sub"?: [filters]}` with valid topic filters
 * outside `u/` and `$`. A filter whose first level is a wildcard is valid; it never matches `u/` or `$` topics, which
 * is the part of whoever matches it.
 */
export function parseAcl(claim: unknown): Acl | undefined {
  if (claim === undefined) return NO_GRANTS
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) return undefined
  const { pub = [], sub = [], ...others } = claim as Record<string, unknown>
  if (Object.keys(others).length > 0 || !isFilterList(pub) || !isFilterList(sub)) return undefined
  return { pub, sub }
}

function isFilterList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= FILTERS_MAX && value.every(isGrantable)
}

function isGrantable(filter: unknown): boolean {
  if (typeof filter !== 'string' || filter.length === 0 || filter.length > FILTER_CHARS_MAX) return false
  if (filter.includes('\0') || !filter.isWellFormed()) return false
  if (isContractTopic(filter) || filter.startsWith('$')) return false
  return filter.split('/').every(isValidLevel)
}

/** `#` only alone in the last level [MQTT-4.7.1-1], `+` only alone in its level [MQTT-4.7.1-2]. */
function isValidLevel(level: string, index: number, levels: string[]): boolean {
  if (level === '#') return index === levels.length - 1
  return level === '+' || !/[+#]/.test(level)
}
