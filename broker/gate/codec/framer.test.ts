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

describe('refusals', () => {
  test('a length of more than four bytes is malformed', () => {
    const bytes = Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01])
    expect(violationOf(() => new Framer(BYTES_MAX).push(bytes, new Collector())).reason).toBe(0x81)
  })

  test('packets before the violation are delivered, and nothing after it', () => {
    const framer = new Framer(BYTES_MAX)
    const sink = new Collector()
    violationOf(() => framer.push(Buffer.concat([PINGREQ, Buffer.from([0x00, 0x00]), PINGREQ]), sink))
    framer.push(PINGREQ, sink)
    expect(sink.frames).toEqual(['c0:'])
    expect(framer.pendingBytes).toBe(0)
  })

  test('reserved flags are refused by the first byte alone', () => {
    expect(violationOf(() => new Framer(BYTES_MAX).push(Buffer.from([0x80]), new Collector())).reason).toBe(
      0x81,
    )
  })

  test('a padded length is accepted on 3.1.1 and refused on 5', () => {
    const padded = Buffer.from([0xc0, 0x80, 0x00])
    const sink = new Collector()
    const framer = new Framer(BYTES_MAX)
    framer.setVersion(4)
    framer.push(padded, sink)
    expect(sink.frames).toEqual(['c0:'])
    const strict = new Framer(BYTES_MAX)
    strict.setVersion(5)
    expect(violationOf(() => strict.push(padded, sink)).reason).toBe(0x81)
  })

  test('a padded length before the version was known is refused when it turns out to be 5', () => {
    const framer = new Framer(BYTES_MAX)
    framer.push(Buffer.from([0xc0, 0x80, 0x00]), new Collector())
    expect(violationOf(() => framer.setVersion(5)).reason).toBe(0x81)
  })

  test('type 15 is refused by its first byte on 3.1.1 and taken on 5', () => {
    const framer = new Framer(BYTES_MAX)
    framer.setVersion(4)
    expect(violationOf(() => framer.push(Buffer.from([0xf0]), new Collector())).reason).toBe(0x81)
    const sink = new Collector()
    const onV5 = new Framer(BYTES_MAX)
    onV5.setVersion(5)
    onV5.push(Buffer.from([0xf0, 0]), sink)
    expect(sink.frames).toEqual(['f0:'])
  })

  test('a reader of a server takes CONNACK and refuses CONNECT', () => {
    const sink = new Collector()
    new Framer(BYTES_MAX, 'server').push(Buffer.from([0x20, 2, 0, 0]), sink)
    expect(sink.frames).toEqual(['20:0000'])
    expect(violationOf(() => new Framer(BYTES_MAX, 'server').push(CONNECT, sink)).reason).toBe(0x82)
  })
})

describe('memory', () => {
  /** Bytes asked of Buffer.allocUnsafe while the action runs. */
  function allocatedBytes(action: () => void): number {
    const real = Buffer.allocUnsafe
    let bytes = 0
    Buffer.allocUnsafe = (size: number) => {
      bytes += size
      return real(size)
    }
    try {
      action()
    } finally {
      Buffer.allocUnsafe = real
    }
    return bytes
  }

  test('64 kB announced and one byte sent keeps less than a kilobyte', () => {
    const framer = new Framer(BYTES_MAX)
    const start = publish(65_000).subarray(0, 5)
    expect(allocatedBytes(() => framer.push(start, new Collector()))).toBeLessThan(1024)
  })

  test('a large packet byte by byte is copied a bounded number of times', () => {
    const packet = publish(250_000)
    const sink = new Collector()
    const framer = new Framer(BYTES_MAX)
    const bytes = allocatedBytes(() => {
      for (let at = 0; at < packet.length; at++) framer.push(packet.subarray(at, at + 1), sink)
    })
    expect(sink.frames).toHaveLength(1)
    expect(bytes).toBeLessThan(packet.length * 3)
  })

  test('a buffer handed out is never written again', () => {
    const framer = new Framer(BYTES_MAX)
    const sink = new Collector()
    const packet = publish(300, 5)
    framer.push(packet.subarray(0, 100), sink)
    framer.push(packet.subarray(100), sink)
    const kept = sink.buffers[0]!
    const before = kept.toString('hex')
    framer.push(publish(300, 6).subarray(0, 200), sink)
    framer.push(publish(300, 6).subarray(200), sink)
    expect(kept.toString('hex')).toBe(before)
    expect(sink.buffers[1]).not.toBe(kept)
  })
})

describe('backpressure', () => {
  test('after false nothing is delivered until resume, then all of it in order', () => {
    const whole = framesOf([STREAM])
    for (let cut = 1; cut < STREAM.length; cut += 3) {
      const framer = new Framer(BYTES_MAX)
      const sink = new Collector(1)
      framer.push(STREAM.subarray(0, cut), sink)
      framer.push(STREAM.subarray(cut), sink)
      expect(sink.frames.length).toBeLessThanOrEqual(1)
      expect(framer.stopped).toBe(true)
      for (let i = 0; framer.stopped && i < 100; i++) framer.resume(sink)
      expect(sink.frames, `cut at ${cut}`).toEqual(whole)
      expect(framer.pendingBytes).toBe(0)
    }
  })

  test('pendingBytes counts all that is held', () => {
    const framer = new Framer(BYTES_MAX)
    const sink = new Collector(1)
    framer.push(STREAM, sink)
    expect(framer.pendingBytes).toBe(STREAM.length - CONNECT.length)
    framer.push(PINGREQ, sink)
    expect(framer.pendingBytes).toBe(STREAM.length - CONNECT.length + PINGREQ.length)
  })

  test('resume without a stop delivers nothing twice', () => {
    const framer = new Framer(BYTES_MAX)
    const sink = new Collector()
    framer.push(STREAM, sink)
    framer.resume(sink)
    expect(sink.frames).toHaveLength(6)
  })

  test('a sink that asks to resume before it returns false goes on', () => {
    const framer = new Framer(BYTES_MAX)
    let frames = 0
    const sink: FrameSink = {
      onFrame() {
        frames += 1
        framer.resume(sink)
        return false
      },
    }
    framer.push(STREAM, sink)
    expect(frames).toBe(6)
    expect(framer.stopped).toBe(false)
  })

  test('bytes pushed from within onFrame come after those of the chunk', () => {
    const framer = new Framer(BYTES_MAX)
    const seen: number[] = []
    const sink: FrameSink = {
      onFrame(firstByte) {
        seen.push(firstByte)
        if (seen.length === 1) framer.push(Buffer.from([0xe0, 0]), sink)
        return true
      },
    }
    framer.push(Buffer.concat([PINGREQ, publish(1)]), sink)
    expect(seen).toEqual([0xc0, 0x32, 0xe0])
  })

  test('close from within onFrame ends delivery and keeps nothing', () => {
    const framer = new Framer(BYTES_MAX)
    let frames = 0
    const sink: FrameSink = {
      onFrame() {
        frames += 1
        framer.close()
        return true
      },
    }
    framer.push(STREAM, sink)
    framer.push(STREAM, sink)
    framer.resume(sink)
    expect(frames).toBe(1)
    expect(framer.pendingBytes).toBe(0)
  })

  test('the bound raised from within onFrame holds for the next packet of the same chunk', () => {
    const framer = new Framer(CONNECT.length)
    const frames: number[] = []
    const sink: FrameSink = {
      onFrame(firstByte) {
        framer.packetBytesMax = 10_000
        frames.push(firstByte)
        return true
      },
    }
    framer.push(Buffer.concat([CONNECT, publish(5000)]), sink)
    expect(frames).toEqual([0x10, 0x32])
  })

  test('a sink that throws closes the framer', () => {
    const framer = new Framer(BYTES_MAX)
    const failing: FrameSink = {
      onFrame() {
        throw new Error('boom')
      },
    }
    expect(() => framer.push(STREAM, failing)).toThrow('boom')
    const sink = new Collector()
    framer.push(STREAM, sink)
    expect(sink.frames).toEqual([])
  })
})
