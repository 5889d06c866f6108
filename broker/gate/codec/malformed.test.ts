import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeAuth, encodeConnect, encodePublish, encodeSubscribe, encodeUnsubscribe } from './encode.ts'
import { Framer, type FrameSink } from './framer.ts'
import { decodeClientPacket } from './testing/decode-any.ts'
import {
  FIRST_PACKETS_NOT_CONNECT,
  MALFORMED_CONNECTS,
  MALFORMED_PACKETS,
  type MalformedCase,
} from './testing/malformed.ts'
import { ProtocolViolation } from './violation.ts'

const BYTES_MAX = 65_536

/** Feeds the bytes as the gate does; the violation met, or undefined when all was accepted. */
function refusalOf(bytes: Buffer, version: 4 | 5, first: boolean, chunkBytes = bytes.length): unknown {
  const framer = new Framer(BYTES_MAX)
  if (!first) framer.setVersion(version)
  const sink: FrameSink = {
    onFrame(firstByte, buffer, start, end) {
      if (first && firstByte !== 0x10) throw new ProtocolViolation(0x82, 'not a CONNECT')
      const decoded = decodeClientPacket(firstByte, buffer, start, end, version)
      if (decoded.type === 'connect') framer.setVersion(decoded.packet.version)
      return true
    },
  }
  try {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      framer.push(bytes.subarray(at, at + chunkBytes), sink)
    }
    return undefined
  } catch (error) {
    return error
  }
}

function expectRefused(entry: MalformedCase, first: boolean): void {
  for (const chunkBytes of [entry.bytes.length, 1, 3]) {
    const error = refusalOf(entry.bytes, entry.version, first, chunkBytes)
    expect(error, `chunks of ${chunkBytes}`).toBeInstanceOf(ProtocolViolation)
    expect((error as ProtocolViolation).reason.toString(16)).toBe(entry.reason.toString(16))
  }
}

describe('malformed packets are refused with their reason, however they are cut', () => {
  test.each(MALFORMED_CONNECTS)('$name', (entry) => expectRefused(entry, true))
  test.each(MALFORMED_PACKETS)('$name', (entry) => expectRefused(entry, false))

  test.each(FIRST_PACKETS_NOT_CONNECT.filter((entry) => !entry.name.includes('PROXY')))('$name', (entry) =>
    expectRefused(entry, true),
  )

  test('bytes that follow in the same chunk do not complete what is cut short', () => {
    const following = Buffer.concat(Array.from({ length: 50 }, () => Buffer.from([0xc0, 0x00])))
    for (const entry of [...MALFORMED_CONNECTS, ...MALFORMED_PACKETS]) {
      const first = MALFORMED_CONNECTS.includes(entry)
      const error = refusalOf(Buffer.concat([entry.bytes, following]), entry.version, first)
      expect(error, entry.name).toBeInstanceOf(ProtocolViolation)
      expect((error as ProtocolViolation).reason, entry.name).toBe(entry.reason)
    }
  })

  test('every case has a name of its own', () => {
    const names = [...MALFORMED_CONNECTS, ...MALFORMED_PACKETS, ...FIRST_PACKETS_NOT_CONNECT].map(
      (c) => c.name,
    )
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBeGreaterThan(150)
  })

  test('a violation never carries the bytes of the client', () => {
    const packet = encodePublish({ version: 4, topic: 'a', qos: 0, payload: Buffer.alloc(0) })
    const secret = Buffer.concat([packet.subarray(0, 2), Buffer.from('\0\x0asecret+#!!')])
    secret[1] = secret.length - 2
    const error = refusalOf(secret, 4, false) as ProtocolViolation
    expect(error.reason).toBe(0x90)
    expect(error.message).not.toContain('secret')
  })
})

const VALID: readonly { name: string; version: 4 | 5; bytes: Buffer; first: boolean }[] = [
  ...([4, 5] as const).flatMap((version) => [
    {
      name: `connect v${version}`,
      version,
      first: true,
      bytes: encodeConnect({
        version,
        cleanStart: false,
        keepAliveSeconds: 60,
        clientId: 'phone-1',
        username: 'ada',
        password: Buffer.from('token'),
        will: {
          topic: 'gone/ada',
          payload: Buffer.from('{}'),
          qos: 1,
          retain: true,
          properties: { willDelayInterval: 5, payloadFormatIndicator: 1, responseTopic: 'r' },
        },
        properties: {
          sessionExpiryInterval: 3600,
          receiveMaximum: 20,
          maximumPacketSize: 65_536,
          requestProblemInformation: true,
          authenticationMethod: 'm',
          authenticationData: Buffer.from('d'),
          userProperties: [
            ['a', 'b'],
            ['a', 'b'],
          ],
        },
      }),
    },
    {
      name: `publish v${version}`,
      version,
      first: false,
      bytes: encodePublish({
        version,
        topic: 'u/ada/send',
        qos: 2,
        packetId: 300,
        retain: true,
        payload: Buffer.from('hello'),
        properties: {
          topicAlias: 3,
          messageExpiryInterval: 9,
          contentType: 'text',
          correlationData: Buffer.from('1'),
        },
      }),
    },
    {
      name: `subscribe v${version}`,
      version,
      first: false,
      bytes: encodeSubscribe({
        version,
        packetId: 7,
        properties: { subscriptionIdentifier: 70_000 },
        filters: [
          { filter: 'a/+/b', qos: 2, noLocal: true, retainHandling: 2, retainAsPublished: true },
          { filter: '$share/g/a/#', qos: 1 },
        ],
      }),
    },
    {
      name: `unsubscribe v${version}`,
      version,
      first: false,
      bytes: encodeUnsubscribe({ version, packetId: 7, filters: ['a/+', '#'] }),
    },
  ]),
  {
    name: 'auth v5',
    version: 5,
    first: false,
    bytes: encodeAuth(0x19, { authenticationMethod: 'm', reasonString: 'r' }),
  },
]

/** The packet with its body cut to `bodyBytes`, and a remaining length that says so. */
function cutBody(packet: Buffer, bodyBytes: number): Buffer {
  const bodyStart = packet[1]! < 0x80 ? 2 : 3
  const header = bodyBytes < 0x80 ? [bodyBytes] : [(bodyBytes & 0x7f) | 0x80, bodyBytes >> 7]
  return Buffer.concat([
    Buffer.from([packet[0]!, ...header]),
    packet.subarray(bodyStart, bodyStart + bodyBytes),
  ])
}

describe('sound packets, damaged', () => {
  test.each(VALID)('$name is accepted whole and cut at any byte', ({ bytes, version, first }) => {
    for (let chunkBytes = 1; chunkBytes <= bytes.length; chunkBytes++) {
      expect(refusalOf(bytes, version, first, chunkBytes), `chunks of ${chunkBytes}`).toBeUndefined()
    }
  })

  test.each(VALID)('$name with a body cut anywhere is refused or sound, and never another error', (entry) => {
    const bodyBytes = entry.bytes.length - (entry.bytes[1]! < 0x80 ? 2 : 3)
    let accepted = 0
    for (let bytes = 0; bytes < bodyBytes; bytes++) {
      const error = refusalOf(cutBody(entry.bytes, bytes), entry.version, entry.first)
      if (error === undefined) accepted += 1
      else expect(error, `body of ${bytes} bytes`).toBeInstanceOf(ProtocolViolation)
    }
    // A PUBLISH may lose its 5 bytes of payload; a list of filters its last one.
    const allowed = entry.name.startsWith('publish') ? 5 : entry.name.includes('subscribe') ? 1 : 0
    expect(accepted).toBe(allowed)
  })

  test.each(VALID)('$name with one bit flipped is refused or sound, and never another error', (entry) => {
    for (let bit = 0; bit < entry.bytes.length * 8; bit++) {
      const damaged = Buffer.from(entry.bytes)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      const error = refusalOf(damaged, entry.version, entry.first)
      if (error !== undefined) expect(error, `bit ${bit}`).toBeInstanceOf(ProtocolViolation)
    }
  })

  test('random bodies behind any first byte throw nothing but violations', () => {
    const bodies = fc.uint8Array({ maxLength: 120 })
    fc.assert(
      fc.property(
        fc.nat(255),
        bodies,
        fc.constantFrom(4, 5),
        fc.boolean(),
        (firstByte, body, version, first) => {
          const bytes = Buffer.concat([Buffer.from([firstByte, body.length]), body])
          const error = refusalOf(bytes, version, first)
          return error === undefined || error instanceof ProtocolViolation
        },
      ),
      { numRuns: 20_000 },
    )
  })
})
