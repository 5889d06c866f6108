/** The face of the decoders: one function per packet a client sends, all over (buffer, start, end) of the body. */
import { type ProtocolVersion, ReasonCode } from './constants.ts'
import type { AuthProperties, DisconnectProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { malformed, protocolError } from './violation.ts'

export { type AckPacket, decodeAck, readPuback311 } from './decode-ack.ts'
export { type ConnectPacket, decodeConnect, peekConnectVersion, type Will } from './decode-connect.ts'
export {
  type DeliveryPacket,
  decodeDelivery,
  decodePublish,
  type PublishPacket,
  publishTopicEquals,
} from './decode-publish.ts'
export {
  decodeSubscribe,
  decodeUnsubscribe,
  type RetainHandling,
  type SubscribePacket,
  type Subscription,
  type UnsubscribePacket,
} from './decode-subscribe.ts'

export interface DisconnectPacket {
  /** 0 when absent, and always on MQTT 3.1.1. */
  readonly reason: number
  readonly properties: DisconnectProperties | null
}

export interface AuthPacket {
  readonly reason: typeof ReasonCode.continueAuthentication | typeof ReasonCode.reAuthenticate
  readonly properties: AuthProperties & { readonly authenticationMethod: string }
}

/** What a client may say in a DISCONNECT (table 3-13). */
const DISCONNECT_REASONS: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.disconnectWithWill,
  ReasonCode.unspecifiedError,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.implementationSpecificError,
  ReasonCode.topicNameInvalid,
  ReasonCode.receiveMaximumExceeded,
  ReasonCode.topicAliasInvalid,
  ReasonCode.packetTooLarge,
  ReasonCode.messageRateTooHigh,
  ReasonCode.quotaExceeded,
  ReasonCode.administrativeAction,
  ReasonCode.payloadFormatInvalid,
])

/** A PINGREQ has no body (section 3.12). */
export function decodePingreq(_buffer: Buffer, start: number, end: number): void {
  if (start !== end) malformed('PINGREQ with a body (section 3.12)')
}

/**
 * Decodes the body of a client's DISCONNECT (section 3.14): empty on MQTT 3.1.1. That Session Expiry Interval may not
 * become non-zero when it was 0 in the CONNECT (section 3.14.2.2.2) is for the connection to check.
 */
export function decodeDisconnect(
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): DisconnectPacket {
  const reader = new Reader(buffer, start, end)
  if (version === 4 || reader.left === 0) {
    reader.finish()
    return { reason: ReasonCode.success, properties: null }
  }
  const reason = reader.byte()
  if (!DISCONNECT_REASONS.has(reason)) protocolError('reason code not for a client to send [MQTT-3.14.2-1]')
  const properties = reader.left === 0 ? null : reader.properties('disconnect')
  reader.finish()
  return { reason, properties }
}

/**
 * Decodes the body of a client's AUTH (section 3.15, MQTT 5 only): the short form means Success, which only a server
 * says [MQTT-3.15.2-1], and the Authentication Method is required (section 3.15.2.2.2).
 */
export function decodeAuth(buffer: Buffer, start: number, end: number): AuthPacket {
  const reader = new Reader(buffer, start, end)
  const reason = reader.left === 0 ? ReasonCode.success : reader.byte()
  if (reason !== ReasonCode.continueAuthentication && reason !== ReasonCode.reAuthenticate) {
    protocolError('reason code not for a client to send [MQTT-3.15.2-1]')
  }
  const properties = reader.properties('auth')
  reader.finish()
  const authenticationMethod = properties?.authenticationMethod
  if (authenticationMethod === undefined) protocolError('AUTH without a method (section 3.15.2.2.2)')
  return { reason, properties: { ...properties, authenticationMethod } }
}
