import fc from 'fast-check'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { ProtocolVersion } from './constants.ts'
import type { AckPacket, ConnectPacket, PublishPacket, SubscribePacket } from './decode.ts'
import { decodeConnack, decodeSuback } from './decode-server.ts'
import * as encode from './encode.ts'
import { Framer, type FrameSink } from './framer.ts'
import { type ClientPacket, decodeClientPacket } from './testing/decode-any.ts'

const BYTES_MAX = 1_000_000

type Decoded = ClientPacket & { payload?: Buffer }

/** Reads what a client sent with our own code, in chunks of the given sizes. */
function decodeAll(stream: Buffer, version: ProtocolVersion, chunkBytes: readonly number[]): Decoded[] {
  const framer = new Framer(BYTES_MAX)
  const decoded: Decoded[] = []
  const sink: FrameSink = {
    onFrame(firstByte, buffer, start, end) {
      const each: Decoded = decodeClientPacket(firstByte, buffer, start, end, version)
      if (each.type === 'publish') {
        each.payload = Buffer.from(buffer.subarray(each.packet.payloadStart, each.packet.payloadEnd))
      }
      decoded.push(each)
      return true
    },
  }
  for (let at = 0, i = 0; at < stream.length; i++) {
    const next = at + (chunkBytes[i % chunkBytes.length] ?? stream.length)
    framer.push(stream.subarray(at, next), sink)
    at = next
  }
  expect(framer.pendingBytes).toBe(0)
  return decoded
}

function parseElsewhere(bytes: Buffer, version: ProtocolVersion): Packet[] {
  const parser = mqttPacket.parser({ protocolVersion: version })
  const packets: Packet[] = []
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', (error) => {
    throw error
  })
  parser.parse(bytes)
  return packets
}

const versions = fc.constantFrom<ProtocolVersion[]>(4, 5)
const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((each) => !each.includes('\0'))
const someText = text.filter((each) => each.length > 0)
const topic = someText.map((each) => each.replace(/[+#]/g, '/')).filter((each) => !each.startsWith('$'))
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))
const id = fc.integer({ min: 1, max: 0xffff })
const uint16 = fc.integer({ min: 1, max: 0xffff })
const uint32 = fc.integer({ min: 1, max: 0xffff_ffff })
const qos = fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 2)
const chunks = fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 6 })
// mqtt-packet keeps them in an object, which would reorder keys that look like numbers.
const pairs = fc.uniqueArray(
  fc.tuple(
    fc.string({ maxLength: 8 }).map((key) => `k${key.replaceAll('\0', '')}`),
    text,
  ),
  { selector: ([key]) => key, minLength: 1, maxLength: 5 },
)

const ofPublish = fc.record(
  {
    payloadFormatIndicator: fc.constant<0>(0),
    messageExpiryInterval: uint32,
    contentType: text,
    responseTopic: topic,
    correlationData: bytes,
    userProperties: pairs,
  },
  { requiredKeys: [] },
)

/** Our properties in the words of mqtt-packet. */
function theirs(properties: {
  readonly userProperties?: readonly (readonly [string, string])[]
  readonly payloadFormatIndicator?: 0 | 1
}): Record<string, unknown> {
  const { userProperties, payloadFormatIndicator, ...rest } = properties
  return {
    ...rest,
    ...(userProperties ? { userProperties: Object.fromEntries(userProperties) } : {}),
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator: payloadFormatIndicator === 1 }),
  }
}

/** Null-prototype objects and absent lists made comparable. */
function plain(properties: object | null | undefined): Record<string, unknown> {
  const out: Record<string, unknown> = { ...properties }
  for (const [key, value] of Object.entries(out)) {
    if (key === 'userProperties') out[key] = { ...(value as object) }
  }
  return out
}

const connects: fc.Arbitrary<ConnectPacket> = fc
  .record({
    version: versions,
    cleanStart: fc.boolean(),
    keepAliveSeconds: fc.nat(0xffff),
    clientId: someText,
    username: fc.option(someText, { nil: undefined }),
    password: fc.option(bytes, { nil: undefined }),
    will: fc.option(fc.record({ topic, payload: bytes, qos, retain: fc.boolean(), properties: ofPublish }), {
      nil: undefined,
    }),
    properties: fc.record(
      {
        sessionExpiryInterval: uint32,
        receiveMaximum: uint16,
        maximumPacketSize: uint32,
        topicAliasMaximum: uint16,
        requestResponseInformation: fc.boolean(),
        requestProblemInformation: fc.boolean(),
        authenticationMethod: someText,
        userProperties: pairs,
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ username, password, will, ...rest }) => {
    const onV5 = rest.version === 5
    return {
      ...rest,
      properties: onV5 ? rest.properties : {},
      ...(username === undefined ? {} : { username }),
      ...(password === undefined || username === undefined ? {} : { password }),
      ...(will === undefined ? {} : { will: { ...will, properties: onV5 ? will.properties : {} } }),
    }
  })

function connectForThem(packet: ConnectPacket): Packet {
  const { version, cleanStart, keepAliveSeconds, clientId, username, password, will, properties } = packet
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clean: cleanStart,
    keepalive: keepAliveSeconds,
    clientId,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(will === undefined ? {} : { will: { ...will, properties: theirs(will.properties) } }),
    ...(version === 5 ? { properties: theirs(properties) } : {}),
  }
}

describe('CONNECT', () => {
  test('written by mqtt-packet, cut at random, reads the same', () => {
    fc.assert(
      fc.property(connects, chunks, (packet, chunkBytes) => {
        // mqtt-packet does not write an empty will payload.
        fc.pre(packet.will === undefined || packet.will.payload.length > 0)
        const stream = mqttPacket.generate(connectForThem(packet))
        expect(decodeAll(stream, packet.version, chunkBytes)).toEqual([{ type: 'connect', packet }])
      }),
      { numRuns: 300 },
    )
  })

  test('written by us, mqtt-packet and we read the same', () => {
    fc.assert(
      fc.property(connects, (packet) => {
        const stream = encode.encodeConnect(packet)
        expect(decodeAll(stream, packet.version, [])).toEqual([{ type: 'connect', packet }])
        const [got] = parseElsewhere(stream, packet.version)
        if (got?.cmd !== 'connect') throw new Error('not a CONNECT')
        expect(got).toMatchObject({
          clientId: packet.clientId,
          clean: packet.cleanStart,
          keepalive: packet.keepAliveSeconds,
        })
        expect(got.username).toEqual(packet.username)
        expect(got.password ?? undefined).toEqual(packet.password)
        expect(plain(got.properties)).toEqual(theirs(packet.properties))
        expect(got.will?.topic).toBe(packet.will?.topic)
        if (packet.will) expect(plain(got.will?.properties)).toEqual(theirs(packet.will.properties))
      }),
      { numRuns: 300 },
    )
  })
})

interface PublishCase {
  version: ProtocolVersion
  topic: string
  qos: 0 | 1 | 2
  dup: boolean
  retain: boolean
  packetId: number
  properties: object
  payload: Buffer
}

const publishes: fc.Arbitrary<PublishCase> = fc
  .record({
    version: versions,
    topic,
    qos,
    dup: fc.boolean(),
    retain: fc.boolean(),
    packetId: id,
    properties: ofPublish,
    payload: fc.uint8Array({ maxLength: 20_000, size: '+2' }).map((each) => Buffer.from(each)),
  })
  .map((each) => ({
    ...each,
    dup: each.dup && each.qos > 0,
    packetId: each.qos > 0 ? each.packetId : 0,
    properties: each.version === 5 ? each.properties : {},
  }))

function publishForThem(each: PublishCase): Buffer {
  return mqttPacket.generate(
    {
      cmd: 'publish',
      topic: each.topic,
      qos: each.qos,
      dup: each.dup,
      retain: each.retain,
      payload: each.payload,
      ...(each.qos > 0 ? { messageId: each.packetId } : {}),
      ...(each.version === 5 ? { properties: theirs(each.properties) } : {}),
    },
    { protocolVersion: each.version },
  )
}

function expectPublish(got: Decoded | undefined, each: PublishCase): void {
  if (got?.type !== 'publish') throw new Error('not a PUBLISH')
  const { payloadStart: _start, payloadEnd: _end, properties, ...rest }: PublishPacket = got.packet
  const { topic, qos, dup, retain, packetId } = each
  expect(rest).toEqual({ topic, qos, dup, retain, packetId })
  expect(properties ?? {}).toEqual(each.properties)
  expect(got.payload?.equals(each.payload)).toBe(true)
}

describe('PUBLISH', () => {
  test('streams of mqtt-packet, cut at random, read the same', () => {
    const streams = versions.chain((version) =>
      fc.array(publishes, { minLength: 1, maxLength: 8 }).map((list) => ({
        version,
        list: list.filter((each) => each.version === version),
      })),
    )
    fc.assert(
      fc.property(streams, chunks, ({ version, list }, chunkBytes) => {
        const got = decodeAll(Buffer.concat(list.map(publishForThem)), version, chunkBytes)
        expect(got).toHaveLength(list.length)
        for (const [i, each] of list.entries()) expectPublish(got[i], each)
      }),
      { numRuns: 200 },
    )
  })

  test('written by us, mqtt-packet reads the same', () => {
    fc.assert(
      fc.property(publishes, (each) => {
        const [got] = parseElsewhere(encode.encodePublish(each), each.version)
        if (got?.cmd !== 'publish') throw new Error('not a PUBLISH')
        const { topic, qos, dup, retain } = each
        expect(got).toMatchObject({ topic, qos, dup, retain })
        expect(got.messageId ?? 0).toBe(each.packetId)
        expect(plain(got.properties)).toEqual(theirs(each.properties))
        expect((got.payload as Buffer).equals(each.payload)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test.each([127, 128, 16_383, 16_384, 2_097_151, 2_097_152])(
    'a body of %i bytes has the shortest length',
    (body) => {
      const payload = Buffer.alloc(body - 3)
      const ours = encode.encodePublish({ version: 4, topic: 'a', qos: 0, payload })
      expect(
        ours.equals(
          mqttPacket.generate({ cmd: 'publish', topic: 'a', qos: 0, dup: false, retain: false, payload }),
        ),
      ).toBe(true)
      expect(encode.publishFrameBytes(1, payload.length, 4, 0)).toBe(ours.length)
    },
  )

  test('the hot writer gives the bytes of mqtt-packet, in exactly the room announced', () => {
    fc.assert(
      fc.property(publishes, fc.nat(9), fc.constantFrom<(0 | 1)[]>(0, 1), (each, offset, hotQos) => {
        const wanted = publishForThem({
          ...each,
          qos: hotQos,
          dup: each.dup && hotQos === 1,
          packetId: each.packetId || 1,
          properties: {},
        })
        const topicBytes = Buffer.from(each.topic)
        const frameBytes = encode.publishFrameBytes(
          topicBytes.length,
          each.payload.length,
          each.version,
          hotQos,
        )
        const target = Buffer.alloc(offset + frameBytes + 4, 0xee)
        const padded = Buffer.concat([Buffer.from('<<'), each.payload, Buffer.from('>>')])
        const end = encode.writePublish(
          target,
          offset,
          wanted[0]!,
          topicBytes,
          each.packetId || 1,
          each.version,
          padded,
          2,
          2 + each.payload.length,
        )
        expect(end).toBe(offset + frameBytes)
        expect(target.subarray(offset, end).equals(wanted)).toBe(true)
        expect(target.subarray(end).equals(Buffer.alloc(4, 0xee))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('SUBSCRIBE and UNSUBSCRIBE', () => {
  const filter = fc
    .array(fc.constantFrom('a', 'bé', '+', ''), { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join('/'))
    .filter((each) => each.length > 0)
  const entry = fc.record({
    filter,
    qos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 2),
  })
  const lists = fc.record({
    version: versions,
    packetId: id,
    filters: fc.array(entry, { minLength: 1, maxLength: 9 }),
  })

  test('both ways through mqtt-packet', () => {
    fc.assert(
      fc.property(
        lists,
        fc.integer({ min: 1, max: 268_435_455 }),
        chunks,
        (input, identifier, chunkBytes) => {
          const { version, packetId } = input
          const off = { noLocal: false, retainAsPublished: false, retainHandling: 0 as const }
          const filters = version === 5 ? input.filters : input.filters.map((each) => ({ ...each, ...off }))
          const properties = version === 5 ? { subscriptionIdentifier: identifier } : null
          const wanted: SubscribePacket = { packetId, properties, filters }
          const ours = encode.encodeSubscribe({ version, packetId, properties, filters })
          const their = mqttPacket.generate(
            {
              cmd: 'subscribe',
              messageId: packetId,
              subscriptions: filters.map((each) => ({
                topic: each.filter,
                qos: each.qos,
                nl: each.noLocal,
                rap: each.retainAsPublished,
                rh: each.retainHandling,
              })),
              ...(properties ? { properties } : {}),
            },
            { protocolVersion: version },
          )
          expect(ours.equals(their)).toBe(true)
          expect(decodeAll(their, version, chunkBytes)).toEqual([{ type: 'subscribe', packet: wanted }])
        },
      ),
      { numRuns: 200 },
    )
  })

  test('UNSUBSCRIBE both ways through mqtt-packet', () => {
    fc.assert(
      fc.property(
        versions,
        id,
        fc.array(filter, { minLength: 1, maxLength: 9 }),
        (version, packetId, filters) => {
          const their = mqttPacket.generate(
            { cmd: 'unsubscribe', messageId: packetId, unsubscriptions: filters },
            { protocolVersion: version },
          )
          expect(encode.encodeUnsubscribe({ version, packetId, filters }).equals(their)).toBe(true)
          expect(decodeAll(their, version, [])).toEqual([
            { type: 'unsubscribe', packet: { packetId, properties: null, filters } },
          ])
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('acknowledgements', () => {
  const encoders = {
    puback: encode.encodePuback,
    pubrec: encode.encodePubrec,
    pubrel: encode.encodePubrel,
    pubcomp: encode.encodePubcomp,
  } as const
  const cases = (['puback', 'pubrec', 'pubrel', 'pubcomp'] as const).flatMap((type) => {
    const failure = type === 'puback' || type === 'pubrec' ? 0x87 : 0x92
    return [
      { type, version: 4 as const, reason: 0, properties: null },
      { type, version: 5 as const, reason: 0, properties: null },
      { type, version: 5 as const, reason: failure, properties: null },
      { type, version: 5 as const, reason: failure, properties: { reasonString: 'no' } },
      { type, version: 5 as const, reason: 0, properties: { userProperties: [['a', 'b']] as const } },
    ]
  })

  test.each(cases)('$type v$version reason $reason $properties', ({ type, version, reason, properties }) => {
    const ours = encoders[type](version, 513, reason, properties ?? undefined)
    const wanted: AckPacket = { packetId: 513, reason, properties }
    expect(decodeAll(ours, version, [1])).toEqual([{ type, packet: wanted }])
    const [got] = parseElsewhere(ours, version)
    expect(got).toMatchObject({ cmd: type, messageId: 513 })
    if (version === 5) expect((got as { reasonCode?: number }).reasonCode ?? 0).toBe(reason)
  })

  test('the hot PUBACK is the one of mqtt-packet on both versions', () => {
    const target = Buffer.alloc(6, 0xee)
    expect(encode.writePuback(target, 1, 0xabcd)).toBe(5)
    for (const version of [4, 5] as const) {
      expect(parseElsewhere(target.subarray(1, 5), version)[0]).toMatchObject({
        cmd: 'puback',
        messageId: 0xabcd,
      })
    }
    expect(target[5]).toBe(0xee)
  })
})

describe('packets of the server, read by mqtt-packet and by us', () => {
  test('CONNACK', () => {
    const properties = {
      sessionExpiryInterval: 7,
      receiveMaximum: 30,
      maximumQos: 1 as const,
      retainAvailable: false,
      maximumPacketSize: 9000,
      assignedClientIdentifier: 'auto-1',
      topicAliasMaximum: 5,
      reasonString: 'why',
      wildcardSubscriptionAvailable: false,
      subscriptionIdentifierAvailable: true,
      sharedSubscriptionAvailable: false,
      serverKeepAlive: 40,
      serverReference: 'b',
      userProperties: [['k', 'v']] as const,
    }
    const bytes5 = encode.encodeConnack({ version: 5, sessionPresent: true, code: 0, properties })
    expect(decodeConnack(bytes5, 2, bytes5.length, 5)).toEqual({ sessionPresent: true, code: 0, properties })
    const [got] = parseElsewhere(bytes5, 5)
    expect(got).toMatchObject({ cmd: 'connack', sessionPresent: true, reasonCode: 0 })
    expect(got).toMatchObject({ properties: { assignedClientIdentifier: 'auto-1', serverKeepAlive: 40 } })
    const bytes4 = encode.encodeConnack({ version: 4, sessionPresent: true, code: 5, properties })
    expect(bytes4.toString('hex')).toBe('20020005')
  })

  test('SUBACK and UNSUBACK', () => {
    expect(encode.encodeSuback(4, 10, [0, 1, 0x80]).toString('hex')).toBe('9005000a000180')
    expect(encode.encodeSuback(5, 10, [1, 0x87]).toString('hex')).toBe('9005000a000187')
    expect(encode.encodeUnsuback(4, 10, [0]).toString('hex')).toBe('b002000a')
    expect(encode.encodeUnsuback(5, 10, [0, 0x11]).toString('hex')).toBe('b005000a000011')
    const suback = encode.encodeSuback(5, 10, [1, 0x87])
    expect(decodeSuback(suback, 2, suback.length, 5)).toEqual({
      packetId: 10,
      properties: null,
      codes: [1, 0x87],
    })
    expect(parseElsewhere(suback, 5)[0]).toMatchObject({ cmd: 'suback', granted: [1, 0x87] })
  })

  test('DISCONNECT and PINGRESP', () => {
    const properties = { reasonString: 'moved', serverReference: 'node-2' }
    const bytes = encode.encodeDisconnect(0x9c, properties)
    expect(parseElsewhere(bytes, 5)[0]).toMatchObject({ cmd: 'disconnect', reasonCode: 0x9c, properties })
    expect(encode.encodeDisconnect(0x8e).toString('hex')).toBe('e0018e')
    expect(parseElsewhere(encode.PINGRESP, 4)[0]).toMatchObject({ cmd: 'pingresp' })
  })

  test('an encoder refuses what may not be on the wire', () => {
    expect(() => encode.encodeDisconnect(0, { reasonString: 'x'.repeat(65_536) })).toThrow(RangeError)
    expect(() => encode.encodePublish({ version: 4, topic: 'a', qos: 1, payload: Buffer.alloc(0) })).toThrow(
      RangeError,
    )
    const stray = { topicAlias: 3 } as object
    expect(() => encode.encodeDisconnect(0, stray)).toThrow(RangeError)
  })
})
