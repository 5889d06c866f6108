/** SUBSCRIBE and UNSUBSCRIBE of a client. */
import { FILTERS_MAX, type ProtocolVersion, type Qos, ReasonCode } from './constants.ts'
import type { SubscribeProperties, UnsubscribeProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { isValidTopicFilter, parseSharedFilter, type SharedFilter } from './topic-filter.ts'
import { malformed, ProtocolViolation, protocolError } from './violation.ts'

export type RetainHandling = 0 | 1 | 2

export interface Subscription {
  readonly filter: string
  /** Set for `$share/{name}/{filter}`, taken apart. */
  readonly shared?: SharedFilter
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: RetainHandling
}

export interface SubscribePacket {
  readonly packetId: number
  readonly properties: SubscribeProperties | null
  /** At least one, in the order of the packet: the SUBACK answers in this order [MQTT-3.9.3-1]. */
  readonly filters: readonly Subscription[]
}

export interface UnsubscribePacket {
  readonly packetId: number
  readonly properties: UnsubscribeProperties | null
  readonly filters: readonly string[]
}

/**
 * Decodes the body of a SUBSCRIBE (section 3.8). `$share/` filters follow the shared-subscription grammar on both versions.
 *
 * Throws `ProtocolViolation`: 0x8f for a filter against [MQTT-4.7.1-1], [MQTT-4.7.1-2] or [MQTT-4.8.2-1/2], 0x97 for more than
 * `filtersMax` filters, 0x82 for an empty list [MQTT-3.8.3-2], packet identifier 0 or No Local on a shared subscription
 * [MQTT-3.8.3-4], 0x81 for reserved bits [MQTT-3.8.3-5] and the rest.
 */
export function decodeSubscribe(
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  filtersMax = FILTERS_MAX,
): SubscribePacket {
  const reader = new Reader(buffer, start, end)
  const packetId = reader.packetId()
  const properties = version === 5 ? reader.properties('subscribe') : null
  if (reader.left === 0) protocolError('SUBSCRIBE without a filter [MQTT-3.8.3-2]')
  const filters: Subscription[] = []
  while (reader.left > 0) {
    if (filters.length === filtersMax) refuseCount(filtersMax)
    filters.push(readSubscription(reader, version))
  }
  return { packetId, properties, filters }
}

/** Decodes the body of an UNSUBSCRIBE (section 3.10); refuses as `decodeSubscribe` does [MQTT-3.10.3-2]. */
export function decodeUnsubscribe(
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  filtersMax = FILTERS_MAX,
): UnsubscribePacket {
  const reader = new Reader(buffer, start, end)
  const packetId = reader.packetId()
  const properties = version === 5 ? reader.properties('unsubscribe') : null
  if (reader.left === 0) protocolError('UNSUBSCRIBE without a filter [MQTT-3.10.3-2]')
  const filters: string[] = []
  while (reader.left > 0) {
    if (filters.length === filtersMax) refuseCount(filtersMax)
    filters.push(readFilter(reader))
  }
  return { packetId, properties, filters }
}

function readFilter(reader: Reader): string {
  const filter = reader.text()
  if (isValidTopicFilter(filter)) return filter
  throw new ProtocolViolation(
    ReasonCode.topicFilterInvalid,
    'topic filter that is empty or against the wildcard or share grammar [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-2]',
  )
}

function readSubscription(reader: Reader, version: ProtocolVersion): Subscription {
  const filter = readFilter(reader)
  const options = reader.byte()
  const qos = options & 3
  if (qos === 3) malformed('requested QoS 3 [MQTT-3.8.3-4 of 3.1.1]')
  if (version === 4 && options > 2) malformed('reserved bits of the requested QoS [MQTT-3.8.3-4 of 3.1.1]')
  if (options & 0xc0) malformed('reserved bits of the subscription options [MQTT-3.8.3-5]')
  const retainHandling = (options >> 4) & 3
  if (retainHandling === 3) protocolError('retain handling 3 (section 3.8.3.1)')
  const noLocal = (options & 4) !== 0
  const shared = parseSharedFilter(filter)
  if (shared && noLocal) protocolError('No Local on a shared subscription [MQTT-3.8.3-4]')
  return {
    filter,
    ...(shared ? { shared } : {}),
    qos: qos as Qos,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as RetainHandling,
  }
}

function refuseCount(filtersMax: number): never {
  throw new ProtocolViolation(ReasonCode.quotaExceeded, `more than ${filtersMax} filters in one packet`)
}
