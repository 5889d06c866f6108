/**
 * The frames of one turn from one node to another, as one message. Batches of a pair of nodes are numbered from 1, so
 * that the receiver sees a hole; a heartbeat carries the last number again, so that it sees that the last one is missing.
 *
 * Layout: version, kind, sender, number, then each frame with its length.
 */
import { FrameReader, type FrameWriter } from './frame-writer.ts'

const VERSION = 1

const KINDS = ['frames', 'heartbeat', 'lastHeartbeat'] as const
/** After `lastHeartbeat` the sender is silent until it rings again. */
export type BatchKind = (typeof KINDS)[number]

/** The number has a fixed place, because it is known when the batch leaves. */
export function beginBatch(writer: FrameWriter, kind: BatchKind, sender: string): { numberAt: number } {
  writer.u8(VERSION)
  writer.u8(KINDS.indexOf(kind))
  writer.short(sender)
  const numberAt = writer.at
  writer.u48(0)
  return { numberAt }
}

export function addFrame(writer: FrameWriter, bytes: Buffer, start: number, end: number): void {
  writer.u32(end - start)
  writer.raw(bytes, start, end)
}

export function numberBatch(writer: FrameWriter, numberAt: number, number: number): void {
  writer.bytes.writeUIntLE(number, numberAt, 6)
}

export type Batch = { kind: BatchKind; sender: string; number: number; frames: FrameReader }

/** Reads the head of a batch; null if another version of this program packed it otherwise. Throws a `RangeError` if it is cut. */
export function readBatch(bytes: Buffer): Batch | null {
  const frames = new FrameReader(bytes, 0, bytes.length)
  if (frames.u8() !== VERSION) return null
  const kind = KINDS[frames.u8()]
  if (kind === undefined) return null
  return { kind, sender: frames.short(), number: frames.u48(), frames }
}

/** Calls back for each frame; throws a `RangeError` if one is cut. */
export function eachFrame(
  { frames }: Batch,
  visit: (bytes: Buffer, start: number, end: number) => void,
): void {
  while (frames.at < frames.end) {
    const length = frames.u32()
    const start = frames.skip(length)
    visit(frames.bytes, start, start + length)
  }
}
