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

export type ParsedLog =
  | { kind: 'direct'; log: LogId; a: UserId; b: UserId }
  | { kind: 'group'; log: LogId }
  | { kind: 'notice'; log: LogId; uid: UserId }

/** Reads a log id in its canonical form: the two uids of a direct log must be sorted. */
export function parseLog(text: string): ParsedLog | undefined {
  const log = text as LogId
  if (text.startsWith('g:')) return GROUP_LOG.test(text) ? { kind: 'group', log } : undefined
  if (text.startsWith('n:')) {
    const uid = parseUserId(text.slice(2))
    return uid === undefined ? undefined : { kind: 'notice', log, uid }
  }
  if (!text.startsWith('d:')) return undefined
  const colon = text.indexOf(':', 2)
  if (colon < 0) return undefined
  const a = parseUserId(text.slice(2, colon))
  const b = parseUserId(text.slice(colon + 1))
  return a !== undefined && b !== undefined && a <= b ? { kind: 'direct', log, a, b } : undefined
}
