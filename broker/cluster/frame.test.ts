import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LogId, UserId } from '../../protocol/ids.ts'
import { addFrame, beginBatch, eachFrame, numberBatch, readBatch } from './batch.ts'
import { ENTRY_BYTES_CARRIED_MAX, encodeFrame, type Frame, readFrame } from './frame.ts'
import { FrameWriter } from './frame-writer.ts'

const id = fc.string({ minLength: 1, maxLength: 64, unit: fc.constantFrom(...'abcXYZ019._@-') })
const log = fc.tuple(fc.constantFrom('d:', 'g:', 'n:'), id).map(([kind, name]) => kind + name)
const seq = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const text = fc.string({ maxLength: 60, unit: 'binary' })
const payload = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

const entry = fc.record({ log, epoch: id, seq, uid: id, device: fc.option(id), payload }).map((parts) => {
  const { payload: json, ...rest } = parts
  return {
    kind: 'entry',
    ...rest,
    withheld: false,
    bytes: Buffer.concat([Buffer.from('??'), json]),
    start: 2,
    end: 2 + json.length,
  }
})
const frame = fc.oneof(
  entry,
  fc.record({ kind: fc.constant('grew'), log, epoch: id, head: seq }),
  fc.record({ kind: fc.constant('joined'), log, uid: id, fromSeq: seq }),
  fc.record({ kind: fc.constant('left'), log, uid: id, toSeq: seq }),
  fc.record({ kind: fc.constant('read'), uid: id, log, seq }),
  fc.record({ kind: fc.constant('changed'), uid: id, scope: id, version: seq }),
  fc.record({ kind: fc.constant('loginEnded'), uid: id, device: fc.option(id), sid: fc.option(text) }),
  fc.record({ kind: fc.constant('plain'), bytes: payload }),
  fc.record({ kind: fc.constant('deviceLost'), clientId: id, order: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('question'), id: seq, name: id, json: text }),
  fc.record({ kind: fc.constant('answer'), id: seq, ok: fc.boolean(), json: text }),
  fc.record({ kind: fc.constant('leaving') }),
  fc.record({ kind: fc.constant('lost'), ageMs: seq }),
) as fc.Arbitrary<Frame>

/** Without where in a buffer the bytes stand. */
function content(read: Frame | null): unknown {
  if (read?.kind !== 'entry') return read
  const { bytes, start, end, ...rest } = read
  return { ...rest, json: bytes.toString('latin1', start, end) }
}

test('every frame is read as it was written, alone and inside a batch', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 10 }), id, seq, (frames, sender, number) => {
      const writer = new FrameWriter(1)
      const { numberAt } = beginBatch(writer, 'frames', sender)
      for (const one of frames) {
        const bytes = encodeFrame(one)
        expect(content(readFrame(bytes, 0, bytes.length))).toEqual(content(one))
        addFrame(writer, bytes, 0, bytes.length)
      }
      numberBatch(writer, numberAt, number)
      const batch = readBatch(writer.copyFrom(0))!
      expect(batch).toMatchObject({ kind: 'frames', sender, number })
      const read: unknown[] = []
      eachFrame(batch, (bytes, start, end) => read.push(content(readFrame(bytes, start, end))))
      expect(read).toEqual(frames.map(content))
    }),
  )
})

test('an entry that is too large to be carried rings without its JSON', () => {
  const bytes = Buffer.alloc(ENTRY_BYTES_CARRIED_MAX + 1, 'x')
  const large = { kind: 'entry', log: 'd:a:b', epoch: 'k', seq: 7, uid: 'a', device: null, bytes, start: 0 }
  const encode = (end: number) => encodeFrame({ ...large, end } as Frame)
  const read = (encoded: Buffer) => readFrame(encoded, 0, encoded.length)
  expect(read(encode(bytes.length))).toEqual({ kind: 'grew', log: 'd:a:b', epoch: 'k', head: 7 })
  expect(read(encode(bytes.length - 1))?.kind).toBe('entry')
})

test('bytes that are no frame or batch throw a RangeError or are skipped, and never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (input) => {
      const bytes = Buffer.from(input)
      try {
        const batch = readBatch(bytes)
        if (batch !== null) eachFrame(batch, (all, start, end) => readFrame(all, start, end))
        readFrame(bytes, 0, bytes.length)
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError)
      }
    }),
  )
  expect(readFrame(Buffer.from([200, 1, 2]), 0, 3)).toBeNull()
  expect(readBatch(Buffer.from([2, 0, 0]))).toBeNull()
})

test('a frame that is cut anywhere is not taken for a whole one', () => {
  const whole = encodeFrame({ kind: 'joined', log: 'g:x' as never, uid: 'u' as never, fromSeq: 5 })
  for (let end = 1; end < whole.length; end++) expect(() => readFrame(whole, 0, end)).toThrow(RangeError)
})

test('an entry that only its author sees leaves its node as the word that its log grew', () => {
  const json = Buffer.from('{}')
  const place = { log: 'd:a:b' as LogId, epoch: 'k1', seq: 7 }
  const withheld = {
    ...place,
    uid: 'a' as UserId,
    device: null,
    withheld: true,
    bytes: json,
    start: 0,
    end: 2,
  }
  const frame = encodeFrame({ kind: 'entry', ...withheld })
  expect(readFrame(frame, 0, frame.length)).toEqual({ kind: 'grew', log: 'd:a:b', epoch: 'k1', head: 7 })
})
