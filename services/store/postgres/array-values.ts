/**
 * Arrays as PostgreSQL takes them in binary form: one buffer an array, without a text to quote and to parse.
 * [array_recv in PostgreSQL's src/backend/utils/adt/arrayfuncs.c: dimensions, has nulls, element type, then for each
 * dimension its size and lower bound, then for each item its length and bytes]
 */
import { escapeText } from './connections.ts'

const HEADER_BYTES = 20
const INT2 = 21
const INT8 = 20
const TEXT = 25
const NULL_LENGTH = 0xffffffff
const TWO_TO_32 = 4294967296

function writeHeader(buffer: Buffer, type: number, count: number): void {
  buffer.writeInt32BE(1, 0)
  buffer.writeInt32BE(1, 4)
  buffer.writeInt32BE(type, 8)
  buffer.writeInt32BE(count, 12)
  buffer.writeInt32BE(1, 16)
}

/** Of whole numbers from 0 up to 2^53. */
export function int8Array(values: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 12)
  writeHeader(buffer, INT8, values.length)
  let at = HEADER_BYTES
  for (const value of values) {
    at = buffer.writeInt32BE(8, at)
    at = buffer.writeUInt32BE(Math.floor(value / TWO_TO_32), at)
    at = buffer.writeUInt32BE(value >>> 0, at)
  }
  return buffer
}

export function int2Array(values: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 6)
  writeHeader(buffer, INT2, values.length)
  let at = HEADER_BYTES
  for (const value of values) {
    at = buffer.writeInt32BE(2, at)
    at = buffer.writeInt16BE(value, at)
  }
  return buffer
}

export function textArray(values: readonly (string | null)[]): Buffer {
  const texts = values.map((value) => (value === null ? null : escapeText(value)))
  let bytes = HEADER_BYTES + texts.length * 4
  for (const text of texts) if (text !== null) bytes += Buffer.byteLength(text)
  const buffer = Buffer.allocUnsafe(bytes)
  writeHeader(buffer, TEXT, texts.length)
  let at = HEADER_BYTES
  for (const text of texts) {
    if (text === null) {
      at = buffer.writeUInt32BE(NULL_LENGTH, at)
      continue
    }
    const length = buffer.write(text, at + 4)
    buffer.writeUInt32BE(length, at)
    at += 4 + length
  }
  return buffer
}
