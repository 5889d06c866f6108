import { describe, expect, test } from 'vitest'
import {
  decodeAuth,
  decodeConnect,
  decodeDisconnect,
  decodePublish,
  decodeSubscribe,
  peekConnectVersion,
  publishTopicEquals,
  readPuback311,
} from './decode.ts'
import {
  encodeAuth,
  encodeClientDisconnect,
  encodeConnect,
  encodePublish,
  encodeSubscribe,
} from './encode.ts'

const BARE = { cleanStart: true, keepAliveSeconds: 0, clientId: '', properties: {} } as const

describe('CONNECT', () => {
  test('an empty client id is taken with clean session on 3.1.1 and always on 5', () => {
    const clean = encodeConnect({ ...BARE, version: 4 })
    expect(decodeConnect(clean, 2, clean.length)).toMatchObject({ clientId: '', cleanStart: true })
    const kept = encodeConnect({ ...BARE, version: 5, cleanStart: false })
    expect(decodeConnect(kept, 2, kept.length)).toMatchObject({ clientId: '', cleanStart: false })
  })

  test('a password without user name is taken on 5', () => {
    const bytes = encodeConnect({ ...BARE, version: 5, password: Buffer.from('token') })
    const packet = decodeConnect(bytes, 2, bytes.length)
    expect(packet.password?.toString()).toBe('token')
    expect('username' in packet).toBe(false)
  })

  test('password and will payload are copies of the received bytes', () => {
    const will = { topic: 'a', payload: Buffer.from('x'), qos: 0, retain: false, properties: {} } as const
    const bytes = encodeConnect({ ...BARE, version: 5, password: Buffer.from('token'), will })
    const packet = decodeConnect(bytes, 2, bytes.length)
    bytes.fill(0)
    expect(packet.password?.toString()).toBe('token')
    expect(packet.will?.payload.toString()).toBe('x')
  })

  test('exactly 64 user properties are taken', () => {
    const userProperties = Array.from({ length: 64 }, (_, i) => [`k${i}`, 'v'] as const)
    const bytes = encodeConnect({ ...BARE, version: 5, properties: { userProperties } })
    expect(decodeConnect(bytes, 3, bytes.length).properties.userProperties).toHaveLength(64)
  })

  test('a byte order mark and characters of four bytes are kept', () => {
    const clientId = '\ufeff😀'
    const bytes = encodeConnect({ ...BARE, version: 4, clientId })
    expect(decodeConnect(bytes, 2, bytes.length).clientId).toBe(clientId)
  })

  test('the version can be told before decoding, and only ours', () => {
    const bytes = encodeConnect({ ...BARE, version: 5 })
    expect(peekConnectVersion(bytes, 2, bytes.length)).toBe(5)
    expect(peekConnectVersion(bytes, 2, 8)).toBeUndefined()
    bytes[8] = 3
    expect(peekConnectVersion(bytes, 2, bytes.length)).toBeUndefined()
  })
})

describe('PUBLISH', () => {
  const topic = 'u/ada/send'
  const bytes = encodePublish({ version: 5, topic, qos: 1, packetId: 9, payload: Buffer.from('hi') })

  test('the topic is compared in place', () => {
    const equals = (other: string, end = bytes.length) =>
      publishTopicEquals(bytes, 2, end, Buffer.from(other))
    expect(equals(topic)).toBe(true)
    expect(equals('u/ada/senD')).toBe(false)
    expect(equals('u/ada/sen')).toBe(false)
    expect(equals('u/ada/send\0')).toBe(false)
    expect(equals(topic, 2 + 2 + topic.length)).toBe(true)
    expect(equals(topic, 2 + 2 + topic.length - 1)).toBe(false)
    expect(equals('', 3)).toBe(false)
  })

  test('a known topic is taken over, everything else is read the same', () => {
    const whole = decodePublish(2, bytes, 2, bytes.length, 5)
    expect(decodePublish(2, bytes, 2, bytes.length, 5, topic)).toEqual(whole)
    expect(bytes.toString('utf8', whole.payloadStart, whole.payloadEnd)).toBe('hi')
  })

  test('no field reaches past the end, whatever lies behind it in the buffer', () => {
    const behind = Buffer.concat([Buffer.from('\0\x04abcd\0\x07'), Buffer.alloc(40, 'a')])
    for (let end = 0; end < 8; end++) {
      expect(() => decodePublish(2, behind, 0, end, 4), `end ${end}`).toThrow('0x81')
      if (end < 6) expect(() => decodePublish(0, behind, 0, end, 4), `QoS 0, end ${end}`).toThrow('0x81')
    }
    expect(decodePublish(2, behind, 0, 8, 4)).toMatchObject({ topic: 'abcd', packetId: 7, payloadStart: 8 })
  })

  test('an alias may stand for the topic on 5', () => {
    const aliased = encodePublish({
      version: 5,
      topic: '',
      qos: 0,
      properties: { topicAlias: 4 },
      payload: Buffer.alloc(0),
    })
    expect(decodePublish(0, aliased, 2, aliased.length, 5)).toMatchObject({
      topic: '',
      properties: { topicAlias: 4 },
    })
  })

  test('a payload said to be UTF-8 is taken when it is', () => {
    const payload = Buffer.from('grüße')
    const said = encodePublish({
      version: 5,
      topic,
      qos: 0,
      properties: { payloadFormatIndicator: 1 },
      payload,
    })
    const packet = decodePublish(0, said, 2, said.length, 5)
    expect(said.toString('utf8', packet.payloadStart, packet.payloadEnd)).toBe('grüße')
  })
})

describe('the others', () => {
  test('the fast PUBACK takes the two-byte form only', () => {
    expect(readPuback311(Buffer.from([0x12, 0x34]), 0, 2)).toBe(0x1234)
    expect(readPuback311(Buffer.from([0x12, 0x34, 0]), 0, 3)).toBe(0)
    expect(readPuback311(Buffer.from([0x12]), 0, 1)).toBe(0)
  })

  test('SUBSCRIBE takes as many filters as allowed and no more', () => {
    const filters = Array.from({ length: 3 }, (_, i) => ({ filter: `f/${i}`, qos: 1 as const }))
    const bytes = encodeSubscribe({ version: 5, packetId: 1, filters })
    expect(decodeSubscribe(bytes, 2, bytes.length, 5, 3).filters).toHaveLength(3)
    expect(() => decodeSubscribe(bytes, 2, bytes.length, 5, 2)).toThrow('more than 2 filters')
  })

  test('a shared filter comes taken apart', () => {
    const bytes = encodeSubscribe({ version: 5, packetId: 1, filters: [{ filter: '$share/g/a/+', qos: 1 }] })
    expect(decodeSubscribe(bytes, 2, bytes.length, 5).filters[0]).toMatchObject({
      filter: '$share/g/a/+',
      shared: { shareName: 'g', filter: 'a/+' },
    })
  })

  test('DISCONNECT in its three lengths', () => {
    const read = (bytes: Buffer, version: 4 | 5) => decodeDisconnect(bytes, 2, bytes.length, version)
    expect(read(encodeClientDisconnect(4), 4)).toEqual({ reason: 0, properties: null })
    expect(read(encodeClientDisconnect(5), 5)).toEqual({ reason: 0, properties: null })
    expect(read(encodeClientDisconnect(5, 4), 5)).toEqual({ reason: 4, properties: null })
    const properties = { sessionExpiryInterval: 0, reasonString: 'bye' }
    expect(read(encodeClientDisconnect(5, 0, properties), 5)).toEqual({ reason: 0, properties })
  })

  test('AUTH with its method', () => {
    const properties = { authenticationMethod: 'm', authenticationData: Buffer.from('d') }
    const bytes = encodeAuth(0x18, properties)
    expect(decodeAuth(bytes, 2, bytes.length)).toEqual({ reason: 0x18, properties })
  })
})
