/** What a client says: for playing packets into the embedded engine, and for tests. */
import { PacketType, type ProtocolVersion } from './constants.ts'
import type { ConnectPacket } from './decode-connect.ts'
import type { Subscription } from './decode-subscribe.ts'
import type {
  AuthProperties,
  DisconnectProperties,
  SubscribeProperties,
  UnsubscribeProperties,
} from './properties.ts'
import { Writer } from './writer.ts'

/** The PINGREQ packet (section 3.12). Shared: never write into it. */
export const PINGREQ: Buffer = Buffer.from([PacketType.pingreq << 4, 0])

function connectFlags({ cleanStart, username, password, will }: ConnectPacket): number {
  const ofWill = will ? 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0) : 0
  return (
    (cleanStart ? 0x02 : 0) |
    ofWill |
    (password === undefined ? 0 : 0x40) |
    (username === undefined ? 0 : 0x80)
  )
}

/** CONNECT (section 3.1), the inverse of `decodeConnect`. */
export function encodeConnect(packet: ConnectPacket): Buffer {
  const { version, keepAliveSeconds, clientId, username, password, will, properties } = packet
  const writer = new Writer().text('MQTT').byte(version).byte(connectFlags(packet)).uint16(keepAliveSeconds)
  if (version === 5) writer.properties('connect', properties)
  writer.text(clientId)
  if (will) {
    if (version === 5) writer.properties('will', will.properties)
    writer.text(will.topic).binary(will.payload)
  }
  if (username !== undefined) writer.text(username)
  if (password !== undefined) writer.binary(password)
  return writer.finish(PacketType.connect << 4)
}

/** A subscription to encode: the options default to 0, and are left out on 3.1.1 except for the QoS. */
type SubscriptionInput = Pick<Subscription, 'filter' | 'qos'> & Partial<Omit<Subscription, 'shared'>>

export interface SubscribeInput {
  readonly version: ProtocolVersion
  readonly packetId: number
  readonly properties?: SubscribeProperties | null
  readonly filters: readonly SubscriptionInput[]
}

/** SUBSCRIBE (section 3.8), the inverse of `decodeSubscribe`. */
export function encodeSubscribe({ version, packetId, properties, filters }: SubscribeInput): Buffer {
  const writer = new Writer().uint16(packetId)
  if (version === 5) writer.properties('subscribe', properties)
  for (const entry of filters) writer.text(entry.filter).byte(subscriptionOptions(version, entry))
  return writer.finish((PacketType.subscribe << 4) | 2)
}

function subscriptionOptions(version: ProtocolVersion, entry: SubscriptionInput): number {
  if (version === 4) return entry.qos
  const { qos, noLocal, retainAsPublished, retainHandling = 0 } = entry
  return qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4)
}

export interface UnsubscribeInput {
  readonly version: ProtocolVersion
  readonly packetId: number
  readonly properties?: UnsubscribeProperties | null
  readonly filters: readonly string[]
}

/** UNSUBSCRIBE (section 3.10), the inverse of `decodeUnsubscribe`. */
export function encodeUnsubscribe({ version, packetId, properties, filters }: UnsubscribeInput): Buffer {
  const writer = new Writer().uint16(packetId)
  if (version === 5) writer.properties('unsubscribe', properties)
  for (const filter of filters) writer.text(filter)
  return writer.finish((PacketType.unsubscribe << 4) | 2)
}

/** DISCONNECT of a client (section 3.14); on 3.1.1 it has no body. */
export function encodeClientDisconnect(
  version: ProtocolVersion,
  reason = 0,
  properties?: DisconnectProperties,
): Buffer {
  const writer = new Writer()
  if (version === 5 && (reason !== 0 || properties)) writer.byte(reason)
  if (version === 5 && properties) writer.properties('disconnect', properties)
  return writer.finish(PacketType.disconnect << 4)
}

/** AUTH (section 3.15) in either direction. */
export function encodeAuth(reason: number, properties: AuthProperties): Buffer {
  return new Writer()
    .byte(reason)
    .properties('auth', properties)
    .finish(PacketType.auth << 4)
}
