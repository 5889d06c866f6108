/** Topic names and filters: which are well formed, and what a shared one says (sections 4.7 and 4.8.2). */
import { FIELD_BYTES_MAX } from './constants.ts'

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

const SHARE_PREFIX = '$share/'

/** A shared subscription taken apart (MQTT 5 section 4.8.2). */
export interface SharedFilter {
  readonly shareName: string
  readonly filter: string
}

/** May this string travel as an MQTT string and have at least one character [MQTT-4.7.3-1/2/3] [MQTT-1.5.4-1]? */
function isValidTopicString(text: string): boolean {
  if (text.length === 0 || text.length > FIELD_BYTES_MAX) return false
  if (text.includes('\0') || !text.isWellFormed()) return false
  return text.length * 3 <= FIELD_BYTES_MAX || Buffer.byteLength(text) <= FIELD_BYTES_MAX
}

/** Does the text hold `+` or `#`, which a topic name must not [MQTT-4.7.0-1]? */
export function hasWildcard(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === PLUS || code === HASH) return true
  }
  return false
}

/** `#` only alone in the last level [MQTT-4.7.1-1], `+` only alone in its level [MQTT-4.7.1-2]. */
function hasValidWildcards(filter: string): boolean {
  for (let i = 0; i < filter.length; i++) {
    const code = filter.charCodeAt(i)
    if (code !== PLUS && code !== HASH) continue
    if (i > 0 && filter.charCodeAt(i - 1) !== SLASH) return false
    const last = i + 1 === filter.length
    if (code === HASH && !last) return false
    if (!last && filter.charCodeAt(i + 1) !== SLASH) return false
  }
  return true
}

/**
 * A filter to subscribe to [MQTT-4.7.1-1] [MQTT-4.7.1-2]. One that begins with `$share/` must be a well-formed shared
 * subscription [MQTT-4.8.2-1] [MQTT-4.8.2-2], on either protocol version.
 */
export function isValidTopicFilter(filter: string): boolean {
  if (!isValidTopicString(filter)) return false
  if (filter.startsWith(SHARE_PREFIX)) return parseSharedFilter(filter) !== undefined
  return hasValidWildcards(filter)
}

/**
 * Takes `$share/{name}/{filter}` apart: the name has a character and none of `/ + #`, the filter a character and valid
 * wildcards [MQTT-4.8.2-1] [MQTT-4.8.2-2]. Undefined for everything else.
 */
export function parseSharedFilter(text: string): SharedFilter | undefined {
  if (!text.startsWith(SHARE_PREFIX)) return undefined
  const nameEnd = text.indexOf('/', SHARE_PREFIX.length)
  if (nameEnd < 0) return undefined
  const shareName = text.slice(SHARE_PREFIX.length, nameEnd)
  const filter = text.slice(nameEnd + 1)
  if (shareName.length === 0 || filter.length === 0) return undefined
  if (hasWildcard(shareName) || !hasValidWildcards(filter)) return undefined
  return { shareName, filter }
}

/** Number of levels of a topic or filter: one more than its slashes. */
export function countLevels(text: string): number {
  let levels = 1
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) === SLASH) levels += 1
  return levels
}

function levelEnd(text: string, start: number): number {
  const slash = text.indexOf('/', start)
  return slash < 0 ? text.length : slash
}

function isAt(text: string, start: number, end: number, code: number): boolean {
  return end === start + 1 && text.charCodeAt(start) === code
}

function sameLevel(
  a: string,
  aStart: number,
  aEnd: number,
  b: string,
  bStart: number,
  bEnd: number,
): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false
  for (let i = 0; i < aEnd - aStart; i++) {
    if (a.charCodeAt(aStart + i) !== b.charCodeAt(bStart + i)) return false
  }
  return true
}

/** Is exactly `#` left after the level that ends at `end`? It also stands for the parent (section 4.7.1.2). */
function onlyHashAfter(filter: string, end: number): boolean {
  return filter.length === end + 2 && filter.charCodeAt(end + 1) === HASH
}

/** A wildcard in the first level does not stand for a level that starts with `$` [MQTT-4.7.2-1]. */
function hidesFromWildcard(wild: string, text: string): boolean {
  const first = wild.charCodeAt(0)
  return text.charCodeAt(0) === DOLLAR && (first === PLUS || first === HASH)
}

/** Does the topic match the filter (section 4.7)? Both must be valid; a shared filter's inner filter is to be given. */
export function filterMatches(filter: string, topic: string): boolean {
  if (hidesFromWildcard(filter, topic)) return false
  let f = 0
  let t = 0
  for (;;) {
    const fEnd = levelEnd(filter, f)
    if (isAt(filter, f, fEnd, HASH)) return true
    const tEnd = levelEnd(topic, t)
    if (!isAt(filter, f, fEnd, PLUS) && !sameLevel(filter, f, fEnd, topic, t, tEnd)) return false
    if (tEnd === topic.length) return fEnd === filter.length || onlyHashAfter(filter, fEnd)
    if (fEnd === filter.length) return false
    f = fEnd + 1
    t = tEnd + 1
  }
}

/**
 * Does every topic that matches `filter` also match `grant`? A wildcard first in the grant never covers a first level
 * that starts with `$` [MQTT-4.7.2-1], and so never a `$share/` filter: give its inner filter instead.
 */
export function filterCovers(grant: string, filter: string): boolean {
  if (hidesFromWildcard(grant, filter)) return false
  // A topic is never empty, so in these two `#` stands for at least one level.
  const wanted = filter === '#' ? '+/#' : filter === '/#' ? '/+/#' : filter
  let g = 0
  let w = 0
  for (;;) {
    const gEnd = levelEnd(grant, g)
    if (isAt(grant, g, gEnd, HASH)) return true
    const wEnd = levelEnd(wanted, w)
    if (isAt(wanted, w, wEnd, HASH)) return false
    if (!isAt(grant, g, gEnd, PLUS) && !sameLevel(grant, g, gEnd, wanted, w, wEnd)) return false
    if (wEnd === wanted.length) return gEnd === grant.length || onlyHashAfter(grant, gEnd)
    if (gEnd === grant.length) return false
    g = gEnd + 1
    w = wEnd + 1
  }
}
