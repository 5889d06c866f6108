import { describe, expect, test } from 'vitest'
import { ReasonCode } from './constants.ts'
import { encodeConnect, encodePublish, PINGREQ } from './encode.ts'
import { Framer, type FrameSink } from './framer.ts'
import { ProtocolViolation } from './violation.ts'

const BYTES_MAX = 300_000

/** Collects whole packets as hex; stops after every `stopEach` packets. */
class Collector implements FrameSink {
  readonly frames: string[] = []
  readonly buffers: Buffer[] = []
  readonly stopEach: number

  constructor(stopEach = Number.POSITIVE_INFINITY) {
    this.stopEach = stopEach
  }

  onFrame(firstByte: number, buffer: Buffer, start: number, end: number): boolean {
    this.buffers.push(buffer)
    this.frames.push(`${firstByte.toString(16)}:${buffer.toString('hex', start, end)}`)
    return this.frames.length % this.stopEach !== 0
  }
}

function publish(payloadBytes: number, packetId = 7): Buffer {
  const payload = Buffer.alloc(payloadBytes, packetId)
  return encodePublish({ version: 4, topic: 'a/b', qos: 1, packetId, payload })
}

const CONNECT = encodeConnect({
  version: 5,
  cleanStart: true,
  keepAliveSeconds: 30,
  clientId: 'phone',
  username: 'ada',
  password: Buffer.from('secret'),
  properties: { receiveMaximum: 20, userProperties: [['a', 'b']] },
})

const STREAM = Buffer.concat([CONNECT, publish(3), PINGREQ, publish(130, 8), publish(0, 9), PINGREQ])

function framesOf(chunks: readonly Buffer[]): string[] {
  const framer = new Framer(BYTES_MAX)
  const sink = new Collector()
  for (const chunk of chunks) framer.push(chunk, sink)
  expect(framer.pendingBytes).toBe(0)
  return sink.frames
}

function violationOf(action: () => void): ProtocolViolation {
  try {
    action()
  } catch (error) {
    if (error instanceof ProtocolViolation) return error
    throw error
  }
  throw new Error('expected a ProtocolViolation, nothing was thrown')
}

describe('cutting a stream into frames', () => {
  test('packets in one chunk come in order and in place', () => {
    const sink = new Collector()
    new Framer(BYTES_MAX).push(STREAM, sink)
    expect(sink.frames).toHaveLength(6)
    expect(sink.frames[0]).toBe(`10:${CONNECT.toString('hex', 2)}`)
    expect(sink.frames[2]).toBe('c0:')
    expect(sink.buffers.every((buffer) => buffer === STREAM)).toBe(true)
  })

  test('a cut at any byte gives the same frames', () => {
    const whole = framesOf([STREAM])
    for (let cut = 1; cut < STREAM.length; cut++) {
      expect(framesOf([STREAM.subarray(0, cut), STREAM.subarray(cut)]), `cut at ${cut}`).toEqual(whole)
    }
  })

  test('one byte at a time gives the same frames', () => {
    const single = Array.from(STREAM, (byte) => Buffer.from([byte]))
    expect(framesOf(single)).toEqual(framesOf([STREAM]))
  })

  test('pendingBytes counts what was received of the unfinished packet', () => {
    const framer = new Framer(BYTES_MAX)
    const sink = new Collector()
    framer.push(publish(100).subarray(0, 40), sink)
    expect(framer.pendingBytes).toBe(40)
    framer.push(publish(100).subarray(40), sink)
    expect(framer.pendingBytes).toBe(0)
    expect(sink.frames).toHaveLength(1)
  })
})

describe('bounds', () => {
  test('a packet announced as too large is refused by its fixed header alone', () => {
    const framer = new Framer(100)
    const header = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])
    const violation = violationOf(() => framer.push(header, new Collector()))
    expect(violation.reason).toBe(ReasonCode.packetTooLarge)
    expect(framer.pendingBytes).toBe(0)
  })

  test('the bound counts the fixed header and is inclusive', () => {
    const packet = publish(100)
    const sink = new Collector()
    new Framer(packet.length).push(packet, sink)
    expect(sink.frames).toHaveLength(1)
    expect(violationOf(() => new Framer(packet.length - 1).push(packet, sink)).reason).toBe(0x95)
  })
})
