/** MQTT packets as bytes. Only what a load generator sends; everything that can be built ahead of the run is. */
export type MqttVersion = 4 | 5

export const DISCONNECT = Buffer.from([0xe0, 0])

const SESSION_EXPIRY_NEVER = Buffer.from([5, 0x11, 0xff, 0xff, 0xff, 0xff])
const NO_PROPERTIES = Buffer.from([0])
const NOTHING = Buffer.alloc(0)

interface ConnectFields {
  version: MqttVersion
  clientId: string
  username?: string
  password?: string
  persistent: boolean
  keepAliveSeconds: number
}

export function encodeConnect(fields: ConnectFields): Buffer {
  const { username, password, persistent, keepAliveSeconds, version } = fields
  const flags = (persistent ? 0 : 0x02) | (username ? 0x80 : 0) | (password ? 0x40 : 0)
  const sessionExpiry = persistent ? SESSION_EXPIRY_NEVER : NO_PROPERTIES
  return encodePacket(0x10, [
    encodeString('MQTT'),
    Buffer.from([version, flags, keepAliveSeconds >> 8, keepAliveSeconds & 255]),
    version === 5 ? sessionExpiry : NOTHING,
    encodeString(fields.clientId),
    username ? encodeString(username) : NOTHING,
    password ? encodeString(password) : NOTHING,
  ])
}

export function encodeSubscribe(version: MqttVersion, packetId: number, filter: string, qos: number): Buffer {
  return encodePacket(0x82, [
    Buffer.from([packetId >> 8, packetId & 255]),
    version === 5 ? NO_PROPERTIES : NOTHING,
    encodeString(filter),
    Buffer.from([qos]),
  ])
}

export interface PublishFrame {
  bytes: Buffer
  /** Where the packet id goes; -1 at QoS 0. */
  packetIdAt: number
  payloadAt: number
}

export function encodePublish(
  version: MqttVersion,
  topic: string,
  payload: Buffer,
  qos: number,
): PublishFrame {
  const bytes = encodePacket(0x30 | (qos << 1), [
    encodeString(topic),
    qos > 0 ? Buffer.alloc(2) : NOTHING,
    version === 5 ? NO_PROPERTIES : NOTHING,
    payload,
  ])
  const payloadAt = bytes.length - payload.length
  return { bytes, payloadAt, packetIdAt: qos > 0 ? payloadAt - (version === 5 ? 1 : 0) - 2 : -1 }
}

function encodePacket(header: number, parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.from([header, ...encodeVariableInteger(length)]), ...parts])
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function encodeVariableInteger(value: number): number[] {
  const digits: number[] = []
  let rest = value
  do {
    const digit = rest & 127
    rest >>>= 7
    digits.push(rest > 0 ? digit | 128 : digit)
  } while (rest > 0)
  return digits
}
