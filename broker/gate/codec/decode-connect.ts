/** The CONNECT of a client, with its will. */
import { isUtf8 } from 'node:buffer'
import { type ProtocolVersion, type Qos, ReasonCode } from './constants.ts'
import type { ConnectProperties, WillProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { hasWildcard } from './topic-filter.ts'
import { malformed, ProtocolViolation, protocolError } from './violation.ts'

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
  readonly properties: WillProperties
}

export interface ConnectPacket {
  readonly version: ProtocolVersion
  /** Clean Start; Clean Session on MQTT 3.1.1. */
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  /** Empty when the client asks for one to be assigned. */
  readonly clientId: string
  readonly username?: string
  readonly password?: Buffer
  readonly will?: Will
  readonly properties: ConnectProperties
}

const PROTOCOL_NAME = Buffer.from('\0\x04MQTT', 'latin1')

const FLAG_RESERVED = 0x01
const FLAG_CLEAN_START = 0x02
const FLAG_WILL = 0x04
const FLAG_WILL_RETAIN = 0x20
const FLAG_PASSWORD = 0x40
const FLAG_USERNAME = 0x80

/**
 * The version a CONNECT asks for, or undefined when it is none of ours: tells in which words to refuse a CONNECT that
 * did not decode.
 */
export function peekConnectVersion(buffer: Buffer, start: number, end: number): ProtocolVersion | undefined {
  if (end - start <= PROTOCOL_NAME.length) return undefined
  if (PROTOCOL_NAME.compare(buffer, start, start + PROTOCOL_NAME.length) !== 0) return undefined
  const level = buffer[start + PROTOCOL_NAME.length]
  return level === 4 || level === 5 ? level : undefined
}

/**
 * Decodes the body of a CONNECT (section 3.1).
 *
 * Throws `ProtocolViolation`: 0x84 for another protocol name or level [MQTT-3.1.2-1] [MQTT-3.1.2-2], 0x85 for an empty
 * client id without Clean Session on 3.1.1 [MQTT-3.1.3-8], 0x90 for a Will Topic with wildcards, 0x99 for a will that
 * is not the UTF-8 it claims, 0x81 and 0x82 for the rest.
 */
export function decodeConnect(buffer: Buffer, start: number, end: number): ConnectPacket {
  const reader = new Reader(buffer, start, end)
  const version = readVersion(reader)
  const flags = readFlags(reader, version)
  const keepAliveSeconds = reader.uint16()
  const properties = version === 5 ? readConnectProperties(reader) : {}
  const cleanStart = (flags & FLAG_CLEAN_START) !== 0
  const clientId = readClientId(reader, version, cleanStart)
  const will = flags & FLAG_WILL ? readWill(reader, flags, version) : undefined
  const username = flags & FLAG_USERNAME ? reader.text() : undefined
  const password = flags & FLAG_PASSWORD ? reader.binary() : undefined
  reader.finish()
  return {
    version,
    cleanStart,
    keepAliveSeconds,
    clientId,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(will === undefined ? {} : { will }),
    properties,
  }
}

function readVersion(reader: Reader): ProtocolVersion {
  const name = reader.text()
  const level = reader.byte()
  if (name === 'MQTT' && (level === 4 || level === 5)) return level
  throw new ProtocolViolation(
    ReasonCode.unsupportedProtocolVersion,
    'protocol name or level is neither MQTT 3.1.1 nor 5.0 [MQTT-3.1.2-1] [MQTT-3.1.2-2]',
  )
}

function readFlags(reader: Reader, version: ProtocolVersion): number {
  const flags = reader.byte()
  if (flags & FLAG_RESERVED) malformed('reserved connect flag is set [MQTT-3.1.2-3]')
  const willQos = (flags >> 3) & 3
  if (willQos === 3) malformed('will QoS 3 [MQTT-3.1.2-12]')
  if (!(flags & FLAG_WILL)) {
    if (willQos !== 0) malformed('will QoS without a will [MQTT-3.1.2-11]')
    if (flags & FLAG_WILL_RETAIN) malformed('will retain without a will [MQTT-3.1.2-13]')
  }
  if (version === 4 && flags & FLAG_PASSWORD && !(flags & FLAG_USERNAME)) {
    malformed('password without user name [MQTT-3.1.2-22 of 3.1.1]')
  }
  return flags
}

function readConnectProperties(reader: Reader): ConnectProperties {
  const properties = reader.properties('connect') ?? {}
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    protocolError('authentication data without a method (section 3.1.2.11.10)')
  }
  return properties
}

function readClientId(reader: Reader, version: ProtocolVersion, cleanStart: boolean): string {
  const clientId = reader.text()
  if (clientId.length === 0 && version === 4 && !cleanStart) {
    throw new ProtocolViolation(
      ReasonCode.clientIdentifierNotValid,
      'empty client id without clean session [MQTT-3.1.3-8 of 3.1.1]',
    )
  }
  return clientId
}

function readWill(reader: Reader, flags: number, version: ProtocolVersion): Will {
  const properties: WillProperties = version === 5 ? (reader.properties('will') ?? {}) : {}
  const topic = reader.text()
  if (topic.length === 0) refuseTopic('empty will topic [MQTT-4.7.3-1]')
  if (hasWildcard(topic)) refuseTopic('will topic with a wildcard [MQTT-4.7.0-1]')
  const payload = reader.binary()
  if (properties.payloadFormatIndicator === 1 && !isUtf8(payload)) {
    throw new ProtocolViolation(
      ReasonCode.payloadFormatInvalid,
      'will payload is not the UTF-8 it is said to be (section 3.1.3.2.3)',
    )
  }
  return {
    topic,
    payload,
    qos: ((flags >> 3) & 3) as Qos,
    retain: (flags & FLAG_WILL_RETAIN) !== 0,
    properties,
  }
}

function refuseTopic(detail: string): never {
  throw new ProtocolViolation(ReasonCode.topicNameInvalid, detail)
}
