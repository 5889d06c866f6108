/**
 * Identifiers of the wire contract: accounts, devices and logs.
 *
 * Every id is a string of its own brand, so that two of them are never swapped by accident. `parse*` takes
 * untrusted input and answers `undefined` when it is not of the form; nothing here throws.
 */

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** An account: `[A-Za-z0-9._@-]{1,64}`, immutable, case-sensitive. */
export type UserId = Branded<'UserId'>
/** One installation of a client: `[A-Za-z0-9_-]{1,64}`. */
export type DeviceId = Branded<'DeviceId'>
/** A conversation's log: `d:{a}:{b}` (uids sorted by bytes), `g:{id}` or `n:{uid}`. */
export type LogId = Branded<'LogId'>
/** MQTT client id, `{uid}/{deviceId}`. */
export type ClientId = Branded<'ClientId'>

export const UID_PATTERN = '^[A-Za-z0-9._@-]{1,64}$'
export const DEVICE_ID_PATTERN = '^[A-Za-z0-9_-]{1,64}$'
export const GROUP_LOG_PATTERN = '^g:[A-Za-z0-9_-]{1,64}$'
export const LOG_PATTERN =
  '^(d:[A-Za-z0-9._@-]{1,64}:[A-Za-z0-9._@-]{1,64}|g:[A-Za-z0-9_-]{1,64}|n:[A-Za-z0-9._@-]{1,64})$'

const UID = new RegExp(UID_PATTERN)
const DEVICE_ID = new RegExp(DEVICE_ID_PATTERN)
const GROUP_LOG = new RegExp(GROUP_LOG_PATTERN)

const COLON = 0x3a
const LETTER_D = 0x64
const LETTER_G = 0x67
const LETTER_N = 0x6e

/** Names that would reach an object's prototype in code that is not ours: the embedded engine keys objects by client id. */
const RESERVED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

export function parseUserId(text: string): UserId | undefined {
  return UID.test(text) && !RESERVED.has(text) ? (text as UserId) : undefined
}

export function parseDeviceId(text: string): DeviceId | undefined {
  return DEVICE_ID.test(text) && !RESERVED.has(text) ? (text as DeviceId) : undefined
}

export function parseClientId(text: string): { uid: UserId; deviceId: DeviceId } | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const uid = parseUserId(text.slice(0, slash))
  const deviceId = parseDeviceId(text.slice(slash + 1))
  return uid !== undefined && deviceId !== undefined ? { uid, deviceId } : undefined
}

export function buildClientId(uid: UserId, deviceId: DeviceId): ClientId {
  return `${uid}/${deviceId}` as ClientId
}

export function buildDirectLog(a: UserId, b: UserId): LogId {
  return (a < b ? `d:${a}:${b}` : `d:${b}:${a}`) as LogId
}

export function buildNoticeLog(uid: UserId): LogId {
  return `n:${uid}` as LogId
}

/** `id` is `[A-Za-z0-9_-]{1,64}`. */
export function buildGroupLog(id: string): LogId {
  return `g:${id}` as LogId
}

type LogKind = 'direct' | 'group' | 'notice'

/** What a text begins to be. Of a {@link LogId} it is all there is to ask: each doorbell does, so that nothing is parsed. */
export function logKind(text: string): LogKind | undefined {
  if (text.charCodeAt(1) !== COLON) return undefined
  const letter = text.charCodeAt(0)
  if (letter === LETTER_D) return 'direct'
  if (letter === LETTER_G) return 'group'
  return letter === LETTER_N ? 'notice' : undefined
}

/**
 * The other one of the two people of a direct log, of whom `uid` is one; in notes to oneself that is `uid` again. Null of
 * any other log.
 */
export function peerOf(log: LogId, uid: UserId): UserId | null {
  if (logKind(log) !== 'direct') return null
  const colon = 2 + uid.length
  const isFirst = log.charCodeAt(colon) === COLON && log.startsWith(uid, 2)
  return (isFirst ? log.slice(colon + 1) : log.slice(2, -1 - uid.length)) as UserId
}

/** Whose a direct log is (two people, or one who writes notes) or a notice log (one); nobody of a group. */
export function peopleOf(log: LogId): UserId[] {
  const kind = logKind(log)
  if (kind === 'notice') return [log.slice(2) as UserId]
  if (kind !== 'direct') return []
  const colon = log.indexOf(':', 2)
  const a = log.slice(2, colon) as UserId
  const b = log.slice(colon + 1) as UserId
  return a === b ? [a] : [a, b]
}

type ParsedLog =
  | { kind: 'direct'; log: LogId; a: UserId; b: UserId }
  | { kind: 'group'; log: LogId }
  | { kind: 'notice'; log: LogId; uid: UserId }

/** Reads a log id in its canonical form: the two uids of a direct log must be sorted. */
export function parseLog(text: string): ParsedLog | undefined {
  const log = text as LogId
  const kind = logKind(text)
  if (kind === 'group') return GROUP_LOG.test(text) ? { kind, log } : undefined
  if (kind === 'notice') {
    const uid = parseUserId(text.slice(2))
    return uid === undefined ? undefined : { kind, log, uid }
  }
  if (kind === undefined) return undefined
  const colon = text.indexOf(':', 2)
  if (colon < 0) return undefined
  const a = parseUserId(text.slice(2, colon))
  const b = parseUserId(text.slice(colon + 1))
  return a !== undefined && b !== undefined && a <= b ? { kind, log, a, b } : undefined
}
