/**
 * Packets that must be refused, by name, for the tests of the codec and for replay over sockets.
 *
 * Written as bytes on purpose, not with our encoder, so that a fault in the encoder cannot hide one in the decoder.
 */
import type { ProtocolVersion } from '../constants.ts'

export interface MalformedCase {
  readonly name: string
  /** The version of the connection the bytes are sent on. */
  readonly version: ProtocolVersion
  readonly bytes: Buffer
  /** The MQTT 5 reason code of the `ProtocolViolation`. */
  readonly reason: number
}

type Part = string | readonly number[]

/** A packet whose remaining length is right: strings are raw bytes in Latin-1, arrays are bytes. */
function packet(firstByte: number, ...parts: readonly Part[]): Buffer {
  const body = bytesOf(parts)
  if (body.length >= 0x4000) throw new RangeError('two bytes of remaining length are enough here')
  const length = body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([firstByte, ...length]), body])
}

function bytesOf(parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))),
  )
}

function text(raw: string): string {
  return `${String.fromCharCode(raw.length >> 8, raw.length & 0xff)}${raw}`
}

/** A property list with its length; the parts are whole properties. */
function props(...parts: readonly Part[]): number[] {
  const body = bytesOf(parts)
  const length = body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return [...length, ...body]
}

const NAME_4 = '\0\x04MQTT\x04'
const NAME_5 = '\0\x04MQTT\x05'
const KEEP_ALIVE: readonly number[] = [0, 60]
const NO_PROPS: readonly number[] = [0]
const ID: readonly number[] = [0, 1]
const USER_PROPERTY = `\x26${text('a')}${text('b')}`

function connect4(flags: number, ...payload: readonly Part[]): Buffer {
  return packet(0x10, NAME_4, [flags], KEEP_ALIVE, ...payload)
}

function connect5(flags: number, properties: Part, ...payload: readonly Part[]): Buffer {
  return packet(0x10, NAME_5, [flags], KEEP_ALIVE, properties, ...payload)
}

function on(version: ProtocolVersion, reason: number, name: string, bytes: Buffer): MalformedCase {
  return { name, version, bytes, reason }
}

/** CONNECTs to be refused, each as the first packet of a connection. */
export const MALFORMED_CONNECTS: readonly MalformedCase[] = [
  on(4, 0x81, 'connect: empty body', packet(0x10)),
  on(4, 0x81, 'connect: protocol name cut short', packet(0x10, '\0\x04MQ')),
  on(4, 0x84, 'connect: MQTT 3.1', packet(0x10, '\0\x06MQIsdp\x03', [2], KEEP_ALIVE, text('c'))),
  on(4, 0x84, 'connect: MQIsdp with level 4', packet(0x10, '\0\x06MQIsdp\x04', [2], KEEP_ALIVE, text('c'))),
  on(
    4,
    0x84,
    'connect: level 3 under the new name',
    packet(0x10, '\0\x04MQTT\x03', [2], KEEP_ALIVE, text('c')),
  ),
  on(5, 0x84, 'connect: level 6', packet(0x10, '\0\x04MQTT\x06', [2], KEEP_ALIVE, NO_PROPS, text('c'))),
  on(4, 0x84, 'connect: level of a bridge', packet(0x10, '\0\x04MQTT\x84', [2], KEEP_ALIVE, text('c'))),
  on(
    4,
    0x84,
    'connect: protocol name in lower case',
    packet(0x10, '\0\x04mqtt\x04', [2], KEEP_ALIVE, text('c')),
  ),
  on(4, 0x84, 'connect: empty protocol name', packet(0x10, '\0\0\x04', [2], KEEP_ALIVE, text('c'))),
  on(4, 0x81, 'connect: no flags', packet(0x10, NAME_4)),
  on(4, 0x81, 'connect: no keep alive', packet(0x10, NAME_4, [2])),
  on(4, 0x81, 'connect: keep alive of one byte', packet(0x10, NAME_4, [2, 0])),
  on(4, 0x81, 'connect: no client id', connect4(2)),
  on(4, 0x81, 'connect: client id cut short', connect4(2, [0, 9], 'abc')),
  on(4, 0x81, 'connect: reserved connect flag', connect4(3, text('c'))),
  on(5, 0x81, 'connect v5: reserved connect flag', connect5(3, NO_PROPS, text('c'))),
  on(4, 0x81, 'connect: will QoS without will', connect4(0x0a, text('c'))),
  on(4, 0x81, 'connect: will retain without will', connect4(0x22, text('c'))),
  on(4, 0x81, 'connect: will QoS 3', connect4(0x1e, text('c'), text('w'), text('x'))),
  on(5, 0x81, 'connect v5: will QoS 3', connect5(0x1e, NO_PROPS, text('c'), NO_PROPS, text('w'), text('x'))),
  on(4, 0x81, 'connect: password without user name', connect4(0x42, text('c'), text('p'))),
  on(4, 0x85, 'connect: empty client id without clean session', connect4(0, text(''))),
  on(4, 0x81, 'connect: user name flag without user name', connect4(0x82, text('c'))),
  on(4, 0x81, 'connect: password flag without password', connect4(0xc2, text('c'), text('u'))),
  on(4, 0x81, 'connect: will flag without will', connect4(0x06, text('c'))),
  on(4, 0x81, 'connect: will without payload', connect4(0x06, text('c'), text('w'))),
  on(4, 0x90, 'connect: will topic with #', connect4(0x06, text('c'), text('w/#'), text('x'))),
  on(4, 0x90, 'connect: will topic with +', connect4(0x06, text('c'), text('+/w'), text('x'))),
  on(4, 0x90, 'connect: empty will topic', connect4(0x06, text('c'), text(''), text('x'))),
  on(4, 0x81, 'connect: U+0000 in the client id', connect4(2, text('a\0b'))),
  on(4, 0x81, 'connect: overlong UTF-8 in the client id', connect4(2, text('\xc0\x80'))),
  on(4, 0x81, 'connect: surrogate in the client id', connect4(2, text('\xed\xa0\x80'))),
  on(4, 0x81, 'connect: lone continuation byte in the user name', connect4(0x82, text('c'), text('\x80'))),
  on(4, 0x81, 'connect: cut UTF-8 in the will topic', connect4(0x06, text('c'), text('\xe2\x82'), text('x'))),
  on(4, 0x81, 'connect: code point above U+10FFFF', connect4(2, text('\xf4\x90\x80\x80'))),
  on(4, 0x81, 'connect: bytes after the last field', connect4(2, text('c'), 'zz')),
  on(5, 0x81, 'connect v5: bytes after the last field', connect5(2, NO_PROPS, text('c'), [0])),
  on(
    4,
    0x81,
    'connect: reserved flags of the fixed header',
    packet(0x11, NAME_4, [2], KEEP_ALIVE, text('c')),
  ),
  on(5, 0x81, 'connect v5: no property length', packet(0x10, NAME_5, [2], KEEP_ALIVE)),
  on(5, 0x81, 'connect v5: property length past the packet', connect5(2, [50], text('c'))),
  on(
    5,
    0x81,
    'connect v5: property length ends inside a property',
    connect5(2, [4, 0x11, 0, 0, 0, 9], text('c')),
  ),
  on(5, 0x81, 'connect v5: property length padded', connect5(2, [0x80, 0], text('c'))),
  on(
    5,
    0x81,
    'connect v5: property length of five bytes',
    connect5(2, [0x80, 0x80, 0x80, 0x80, 1], text('c')),
  ),
  on(
    5,
    0x81,
    'connect v5: remaining length padded',
    Buffer.concat([Buffer.from([0x10, 0x8e, 0x00]), bytesOf([NAME_5, [2], KEEP_ALIVE, NO_PROPS, text('c')])]),
  ),
  on(5, 0x81, 'connect v5: unknown property', connect5(2, props([0x7f, 0]), text('c'))),
  on(5, 0x81, 'connect v5: property of another packet', connect5(2, props([0x23, 0, 1]), text('c'))),
  on(5, 0x81, 'connect v5: will property among its own', connect5(2, props([0x18, 0, 0, 0, 1]), text('c'))),
  on(5, 0x82, 'connect v5: receive maximum 0', connect5(2, props([0x21, 0, 0]), text('c'))),
  on(5, 0x82, 'connect v5: maximum packet size 0', connect5(2, props([0x27, 0, 0, 0, 0]), text('c'))),
  on(5, 0x82, 'connect v5: request problem information 2', connect5(2, props([0x17, 2]), text('c'))),
  on(5, 0x82, 'connect v5: request response information 2', connect5(2, props([0x19, 2]), text('c'))),
  on(
    5,
    0x82,
    'connect v5: session expiry twice',
    connect5(2, props([0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]), text('c')),
  ),
  on(
    5,
    0x82,
    'connect v5: topic alias maximum twice',
    connect5(2, props([0x22, 0, 0, 0x22, 0, 0]), text('c')),
  ),
  on(
    5,
    0x82,
    'connect v5: authentication data without method',
    connect5(2, props(`\x16${text('d')}`), text('c')),
  ),
  on(5, 0x97, 'connect v5: 65 user properties', connect5(2, props(USER_PROPERTY.repeat(65)), text('c'))),
  on(5, 0x81, 'connect v5: user property without value', connect5(2, props(`\x26${text('a')}`), text('c'))),
  on(
    5,
    0x81,
    'connect v5: U+0000 in a user property',
    connect5(2, props(`\x26${text('\0')}${text('b')}`), text('c')),
  ),
  on(
    5,
    0x82,
    'connect v5: will payload format 2',
    connect5(6, NO_PROPS, text('c'), props([1, 2]), text('w'), text('x')),
  ),
  on(
    5,
    0x99,
    'connect v5: will payload not UTF-8',
    connect5(6, NO_PROPS, text('c'), props([1, 1]), text('w'), text('\xff')),
  ),
  on(
    5,
    0x82,
    'connect v5: will response topic with #',
    connect5(6, NO_PROPS, text('c'), props(`\x08${text('r/#')}`), text('w'), text('x')),
  ),
]

/** Packets to be refused after an accepted CONNECT of their version. */
export const MALFORMED_PACKETS: readonly MalformedCase[] = [
  on(4, 0x81, 'fixed header: packet type 0', packet(0x00)),
  on(5, 0x81, 'fixed header v5: packet type 0', packet(0x00)),
  on(4, 0x81, 'fixed header: packet type 15', packet(0xf0)),
  on(4, 0x81, 'fixed header: remaining length of five bytes', Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 1])),
  on(4, 0x81, 'fixed header: remaining length that never ends', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff])),
  on(4, 0x95, 'fixed header: 256 MB announced', Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])),
  on(5, 0x95, 'fixed header v5: 256 MB announced', Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f])),
  on(5, 0x81, 'fixed header v5: remaining length padded', Buffer.from([0xc0, 0x80, 0x00])),
  on(4, 0x82, 'wrong direction: CONNACK', packet(0x20, [0, 0])),
  on(4, 0x82, 'wrong direction: SUBACK', packet(0x90, ID, [0])),
  on(4, 0x82, 'wrong direction: UNSUBACK', packet(0xb0, ID)),
  on(4, 0x82, 'wrong direction: PINGRESP', packet(0xd0)),
  on(4, 0x81, 'pingreq: reserved flags', packet(0xc1)),
  on(4, 0x81, 'pingreq: body', packet(0xc0, [0])),
  on(4, 0x81, 'disconnect: reserved flags', packet(0xe2)),
  on(4, 0x81, 'disconnect: body', packet(0xe0, [0])),
  on(5, 0x82, 'disconnect v5: unknown reason', packet(0xe0, [0x05])),
  on(5, 0x82, 'disconnect v5: reason of a server', packet(0xe0, [0x8e])),
  on(5, 0x81, 'disconnect v5: server reference', packet(0xe0, [0], props(`\x1c${text('x')}`))),
  on(
    5,
    0x82,
    'disconnect v5: reason string twice',
    packet(0xe0, [0], props(`\x1f${text('x')}\x1f${text('x')}`)),
  ),
  on(5, 0x81, 'disconnect v5: bytes after the properties', packet(0xe0, [0, 0, 0])),

  on(4, 0x81, 'publish: QoS 3', packet(0x36, text('a'), ID)),
  on(4, 0x81, 'publish: DUP at QoS 0', packet(0x38, text('a'))),
  on(4, 0x81, 'publish: empty body', packet(0x30)),
  on(4, 0x81, 'publish: topic length of one byte', packet(0x30, [0])),
  on(4, 0x81, 'publish: topic longer than the packet', packet(0x30, [0, 9], 'abc')),
  on(4, 0x90, 'publish: empty topic', packet(0x30, text(''), 'x')),
  on(4, 0x90, 'publish: topic with #', packet(0x30, text('a/#'), 'x')),
  on(4, 0x90, 'publish: topic with + inside a level', packet(0x30, text('a+b'), 'x')),
  on(4, 0x81, 'publish: U+0000 in the topic', packet(0x30, text('a\0'), 'x')),
  on(4, 0x81, 'publish: invalid UTF-8 in the topic', packet(0x30, text('a\xff'), 'x')),
  on(4, 0x81, 'publish: surrogate pair in the topic', packet(0x30, text('\xed\xa0\xbd\xed\xb8\x80'), 'x')),
  on(4, 0x81, 'publish: invalid UTF-8 in a long topic', packet(0x30, text(`${'a'.repeat(300)}\xff`))),
  on(4, 0x81, 'publish: U+0000 in a long topic', packet(0x30, text(`${'a'.repeat(300)}\0`))),
  on(4, 0x82, 'publish: packet id 0', packet(0x32, text('a'), [0, 0], 'x')),
  on(4, 0x82, 'publish: packet id 0 at QoS 2', packet(0x34, text('a'), [0, 0], 'x')),
  on(4, 0x81, 'publish: no packet id', packet(0x32, text('a'))),
  on(4, 0x81, 'publish: packet id of one byte', packet(0x32, text('a'), [1])),
  on(5, 0x81, 'publish v5: no property length', packet(0x32, text('a'), ID)),
  on(5, 0x81, 'publish v5: property length past the packet', packet(0x30, text('a'), [9, 1, 1])),
  on(5, 0x82, 'publish v5: empty topic without alias', packet(0x30, text(''), NO_PROPS, 'x')),
  on(5, 0x94, 'publish v5: topic alias 0', packet(0x30, text('a'), props([0x23, 0, 0]), 'x')),
  on(5, 0x82, 'publish v5: topic alias twice', packet(0x30, text('a'), props([0x23, 0, 1, 0x23, 0, 1]), 'x')),
  on(5, 0x81, 'publish v5: subscription identifier', packet(0x30, text('a'), props([0x0b, 1]), 'x')),
  on(5, 0x82, 'publish v5: response topic with +', packet(0x30, text('a'), props(`\x08${text('r/+')}`), 'x')),
  on(5, 0x82, 'publish v5: empty response topic', packet(0x30, text('a'), props(`\x08${text('')}`), 'x')),
  on(5, 0x81, 'publish v5: response topic cut short', packet(0x30, text('a'), props('\x08\0\x05ab'), 'x')),
  on(5, 0x82, 'publish v5: payload format 2', packet(0x30, text('a'), props([1, 2]), 'x')),
  on(5, 0x99, 'publish v5: payload not UTF-8', packet(0x30, text('a'), props([1, 1]), '\xc3\x28')),
  on(5, 0x81, 'publish v5: property of CONNECT', packet(0x30, text('a'), props([0x21, 0, 1]), 'x')),
  on(5, 0x81, 'publish v5: expiry of three bytes', packet(0x30, text('a'), props([2, 0, 0, 1]), 'x')),
  on(
    5,
    0x97,
    'publish v5: 65 user properties',
    packet(0x30, text('a'), props(USER_PROPERTY.repeat(65)), 'x'),
  ),
  on(5, 0x81, 'publish v5: property identifier padded', packet(0x30, text('a'), props([0x81, 0, 1]), 'x')),

  on(4, 0x81, 'puback: empty body', packet(0x40)),
  on(4, 0x81, 'puback: packet id of one byte', packet(0x40, [1])),
  on(4, 0x82, 'puback: packet id 0', packet(0x40, [0, 0])),
  on(4, 0x81, 'puback: reason code on 3.1.1', packet(0x40, ID, [0])),
  on(4, 0x81, 'puback: reserved flags', packet(0x41, ID)),
  on(5, 0x82, 'puback v5: reason of a PUBREL', packet(0x40, ID, [0x92])),
  on(5, 0x82, 'puback v5: unknown reason', packet(0x40, ID, [0x01])),
  on(5, 0x81, 'puback v5: bytes after the properties', packet(0x40, ID, [0, 0, 0])),
  on(5, 0x81, 'puback v5: property of PUBLISH', packet(0x40, ID, [0], props([1, 1]))),
  on(4, 0x81, 'pubrec: bytes after the packet id', packet(0x50, ID, [0])),
  on(5, 0x82, 'pubrec v5: packet id 0', packet(0x50, [0, 0])),
  on(4, 0x81, 'pubrel: flags 0', packet(0x60, ID)),
  on(5, 0x82, 'pubrel v5: reason of a PUBACK', packet(0x62, ID, [0x10])),
  on(4, 0x82, 'pubrel: packet id 0', packet(0x62, [0, 0])),
  on(5, 0x82, 'pubcomp v5: reason of a PUBACK', packet(0x70, ID, [0x97])),
  on(4, 0x81, 'pubcomp: flags 2', packet(0x72, ID)),

  on(4, 0x81, 'subscribe: flags 0', packet(0x80, ID, text('a'), [0])),
  on(4, 0x82, 'subscribe: packet id 0', packet(0x82, [0, 0], text('a'), [0])),
  on(4, 0x82, 'subscribe: no filter', packet(0x82, ID)),
  on(5, 0x82, 'subscribe v5: no filter', packet(0x82, ID, NO_PROPS)),
  on(4, 0x81, 'subscribe: filter without QoS', packet(0x82, ID, text('a'))),
  on(4, 0x81, 'subscribe: QoS 3', packet(0x82, ID, text('a'), [3])),
  on(4, 0x81, 'subscribe: reserved bits of the QoS', packet(0x82, ID, text('a'), [4])),
  on(5, 0x81, 'subscribe v5: reserved bits of the options', packet(0x82, ID, NO_PROPS, text('a'), [0x40])),
  on(5, 0x82, 'subscribe v5: retain handling 3', packet(0x82, ID, NO_PROPS, text('a'), [0x30])),
  on(4, 0x8f, 'subscribe: empty filter', packet(0x82, ID, text(''), [0])),
  on(4, 0x8f, 'subscribe: # before the end', packet(0x82, ID, text('a/#/b'), [0])),
  on(4, 0x8f, 'subscribe: # inside a level', packet(0x82, ID, text('a#'), [0])),
  on(4, 0x8f, 'subscribe: ##', packet(0x82, ID, text('##'), [0])),
  on(4, 0x8f, 'subscribe: + inside a level', packet(0x82, ID, text('a/b+'), [0])),
  on(4, 0x8f, 'subscribe: ++', packet(0x82, ID, text('a/++'), [0])),
  on(4, 0x8f, 'subscribe: +#', packet(0x82, ID, text('+#'), [0])),
  on(4, 0x8f, 'subscribe: second filter invalid', packet(0x82, ID, text('a'), [0], text('b+'), [0])),
  on(4, 0x81, 'subscribe: U+0000 in a filter', packet(0x82, ID, text('a\0'), [0])),
  on(4, 0x97, 'subscribe: 101 filters', packet(0x82, ID, `${text('a')}\0`.repeat(101))),
  on(5, 0x8f, 'subscribe v5: share without a filter', packet(0x82, ID, NO_PROPS, text('$share/g'), [0])),
  on(5, 0x8f, 'subscribe v5: share with an empty filter', packet(0x82, ID, NO_PROPS, text('$share/g/'), [0])),
  on(5, 0x8f, 'subscribe v5: share with an empty name', packet(0x82, ID, NO_PROPS, text('$share//a'), [0])),
  on(5, 0x8f, 'subscribe v5: share name with +', packet(0x82, ID, NO_PROPS, text('$share/+/a'), [0])),
  on(5, 0x8f, 'subscribe v5: share name with #', packet(0x82, ID, NO_PROPS, text('$share/g#/a'), [0])),
  on(
    5,
    0x8f,
    'subscribe v5: share with an invalid filter',
    packet(0x82, ID, NO_PROPS, text('$share/g/a#'), [0]),
  ),
  on(5, 0x82, 'subscribe v5: No Local on a share', packet(0x82, ID, NO_PROPS, text('$share/g/a'), [4])),
  on(5, 0x82, 'subscribe v5: subscription identifier 0', packet(0x82, ID, props([0x0b, 0]), text('a'), [0])),
  on(
    5,
    0x82,
    'subscribe v5: subscription identifier twice',
    packet(0x82, ID, props([0x0b, 1, 0x0b, 2]), text('a'), [0]),
  ),
  on(
    5,
    0x81,
    'subscribe v5: subscription identifier of five bytes',
    packet(0x82, ID, props([0x0b, 0xff, 0xff, 0xff, 0xff, 1]), text('a'), [0]),
  ),
  on(
    5,
    0x81,
    'subscribe v5: property of CONNECT',
    packet(0x82, ID, props([0x11, 0, 0, 0, 1]), text('a'), [0]),
  ),

  on(4, 0x81, 'unsubscribe: flags 0', packet(0xa0, ID, text('a'))),
  on(4, 0x82, 'unsubscribe: no filter', packet(0xa2, ID)),
  on(4, 0x82, 'unsubscribe: packet id 0', packet(0xa2, [0, 0], text('a'))),
  on(4, 0x8f, 'unsubscribe: invalid filter', packet(0xa2, ID, text('a/#/b'))),
  on(4, 0x81, 'unsubscribe: filter cut short', packet(0xa2, ID, [0, 5], 'ab')),
  on(4, 0x97, 'unsubscribe: 101 filters', packet(0xa2, ID, text('a').repeat(101))),
  on(5, 0x81, 'unsubscribe v5: subscription identifier', packet(0xa2, ID, props([0x0b, 1]), text('a'))),

  on(5, 0x81, 'auth v5: reserved flags', packet(0xf1)),
  on(5, 0x82, 'auth v5: short form', packet(0xf0)),
  on(5, 0x82, 'auth v5: success from a client', packet(0xf0, [0], props(`\x15${text('m')}`))),
  on(5, 0x82, 'auth v5: no method', packet(0xf0, [0x19], NO_PROPS)),
  on(5, 0x81, 'auth v5: no property length', packet(0xf0, [0x19])),
]

/** Sound or foreign bytes that are no CONNECT: refused as the first of a connection [MQTT-3.1.0-1], by their first byte. */
export const FIRST_PACKETS_NOT_CONNECT: readonly MalformedCase[] = [
  on(4, 0x82, 'first: PUBLISH', packet(0x30, text('a'), 'x')),
  on(4, 0x82, 'first: PUBACK', packet(0x40, ID)),
  on(4, 0x82, 'first: PUBREL', packet(0x62, ID)),
  on(4, 0x82, 'first: SUBSCRIBE', packet(0x82, ID, text('#'), [0])),
  on(4, 0x82, 'first: UNSUBSCRIBE', packet(0xa2, ID, text('#'))),
  on(4, 0x82, 'first: PINGREQ', packet(0xc0)),
  on(4, 0x82, 'first: DISCONNECT', packet(0xe0)),
  on(5, 0x82, 'first: AUTH', packet(0xf0, [0x19], props(`\x15${text('m')}`))),
  on(4, 0x82, 'first: CONNACK', packet(0x20, [0, 0])),
  on(4, 0x81, 'first: HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')),
  on(4, 0x81, 'first: TLS ClientHello', Buffer.from('16030100c8010000c40303', 'hex')),
  on(4, 0x81, 'first: SSH banner', Buffer.from('SSH-2.0-OpenSSH_9.9\r\n')),
  on(4, 0x82, 'first: PROXY header on a port without', Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n')),
  on(4, 0x81, 'first: zeros', Buffer.alloc(64)),
]
