/** One call for any packet of a client, for tests. The gate switches by itself. */
import { PacketType, type ProtocolVersion } from '../constants.ts'
import {
  type AckPacket,
  type AuthPacket,
  type ConnectPacket,
  type DisconnectPacket,
  decodeAck,
  decodeAuth,
  decodeConnect,
  decodeDisconnect,
  decodePingreq,
  decodePublish,
  decodeSubscribe,
  decodeUnsubscribe,
  type PublishPacket,
  type SubscribePacket,
  type UnsubscribePacket,
} from '../decode.ts'
import { malformed, protocolError } from '../violation.ts'

export type ClientPacket =
  | { readonly type: 'connect'; readonly packet: ConnectPacket }
  | { readonly type: 'publish'; readonly packet: PublishPacket }
  | { readonly type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'; readonly packet: AckPacket }
  | { readonly type: 'subscribe'; readonly packet: SubscribePacket }
  | { readonly type: 'unsubscribe'; readonly packet: UnsubscribePacket }
  | { readonly type: 'pingreq' }
  | { readonly type: 'disconnect'; readonly packet: DisconnectPacket }
  | { readonly type: 'auth'; readonly packet: AuthPacket }

/** Decodes one frame of a `Framer` that reads a client. Throws `ProtocolViolation` as the single decoders do. */
export function decodeClientPacket(
  firstByte: number,
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): ClientPacket {
  const flags = firstByte & 0x0f
  switch (firstByte >> 4) {
    case PacketType.connect:
      return { type: 'connect', packet: decodeConnect(buffer, start, end) }
    case PacketType.publish:
      return { type: 'publish', packet: decodePublish(flags, buffer, start, end, version) }
    case PacketType.puback:
      return { type: 'puback', packet: decodeAck(PacketType.puback, flags, buffer, start, end, version) }
    case PacketType.pubrec:
      return { type: 'pubrec', packet: decodeAck(PacketType.pubrec, flags, buffer, start, end, version) }
    case PacketType.pubrel:
      return { type: 'pubrel', packet: decodeAck(PacketType.pubrel, flags, buffer, start, end, version) }
    case PacketType.pubcomp:
      return { type: 'pubcomp', packet: decodeAck(PacketType.pubcomp, flags, buffer, start, end, version) }
    case PacketType.subscribe:
      return { type: 'subscribe', packet: decodeSubscribe(buffer, start, end, version) }
    case PacketType.unsubscribe:
      return { type: 'unsubscribe', packet: decodeUnsubscribe(buffer, start, end, version) }
    case PacketType.pingreq:
      decodePingreq(buffer, start, end)
      return { type: 'pingreq' }
    case PacketType.disconnect:
      return { type: 'disconnect', packet: decodeDisconnect(buffer, start, end, version) }
    case PacketType.auth:
      if (version === 4) malformed('packet type 15 is reserved in MQTT 3.1.1 (its section 2.2.1)')
      return { type: 'auth', packet: decodeAuth(buffer, start, end) }
    default:
      return protocolError('a packet type that only a server may send (table 2-1)')
  }
}
