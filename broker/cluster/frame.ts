/**
 * What nodes say to each other: one doorbell, question or answer is a frame. Binary, because a node under load reads
 * tens of thousands a second. A frame begins with its kind; one of a kind that this version does not know is skipped,
 * so that two versions can run side by side.
 */
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { ChangeScope } from '../../protocol/reply.ts'
import { PRESENCE_STATES, type PresencePart } from '../../services/presence/ports.ts'
import type { CommittedEntry } from '../../services/store/contract.ts'
import { FrameReader, FrameWriter } from './frame-writer.ts'

/** A larger entry rings without its JSON; the inbox reads it from the store, which is cheap beside carrying it. */
export const ENTRY_BYTES_CARRIED_MAX = 16 * 1024

const ENTRY = 1
const GREW = 2
const JOINED = 3
const LEFT = 4
const READ = 5
const LOGIN_ENDED = 6
const PLAIN = 7
const DEVICE_LOST = 8
const QUESTION = 9
const ANSWER = 10
const LEAVING = 11
const LOST = 12
const SIGNAL = 13
const PRESENCE = 14
const CHANGED = 15

export type EntryFrame = CommittedEntry & { kind: 'entry' }

export type Frame =
  /** `bytes[start, end)` is the entry's JSON, inside what was received. */
  | EntryFrame
  | { kind: 'grew'; log: LogId; epoch: string; head: number }
  | { kind: 'joined'; log: LogId; uid: UserId; fromSeq: number }
  | { kind: 'left'; log: LogId; uid: UserId; toSeq: number }
  | { kind: 'read'; uid: UserId; log: LogId; seq: number }
  | { kind: 'changed'; uid: UserId; scope: ChangeScope; version: number }
  | { kind: 'loginEnded'; uid: UserId; device: DeviceId | null; sid: string | null }
  | { kind: 'plain'; bytes: Buffer }
  /** A claim above `order` is held by the sender. */
  | { kind: 'deviceLost'; clientId: ClientId; order: number }
  | { kind: 'question'; id: number; name: string; json: string }
  /** `json` of the result, or of a refusal (`ErrorBody`). */
  | { kind: 'answer'; id: number; ok: boolean; json: string }
  /** The sender goes, by itself and in order. */
  | { kind: 'leaving' }
  /** Doorbells of commits of up to `ageMs` ago may be lost, wherever they would have rung. */
  | { kind: 'lost'; ageMs: number }
  /** Something live, as the other end of {@link Bus.signal} packed it. */
  | { kind: 'signal'; bytes: Buffer }
  /** What the sender says of a person. */
  | { kind: 'presence'; uid: UserId; part: Omit<PresencePart, 'node'> }

/** Writes an entry, or of a large one, and of one that only its author sees, that its log grew. */
export function writeEntry(writer: FrameWriter, entry: CommittedEntry): void {
  const length = entry.end - entry.start
  const isCarried = length <= ENTRY_BYTES_CARRIED_MAX && !entry.withheld
  writer.u8(isCarried ? ENTRY : GREW)
  writer.short(entry.log)
  writer.short(entry.epoch)
  writer.u48(entry.seq)
  if (!isCarried) return
  writer.short(entry.uid)
  // No device id is empty.
  writer.short(entry.device ?? '')
  writer.raw(entry.bytes, entry.start, entry.end)
}

export function writeFrame(writer: FrameWriter, frame: Frame): void {
  switch (frame.kind) {
    case 'entry':
      writeEntry(writer, frame)
      return
    case 'grew':
      writeSeq(writer, GREW, frame.log, frame.epoch, frame.head)
      return
    case 'joined':
      writeSeq(writer, JOINED, frame.log, frame.uid, frame.fromSeq)
      return
    case 'left':
      writeSeq(writer, LEFT, frame.log, frame.uid, frame.toSeq)
      return
    case 'read':
      writeSeq(writer, READ, frame.log, frame.uid, frame.seq)
      return
    case 'changed':
      writeSeq(writer, CHANGED, frame.scope, frame.uid, frame.version)
      return
    case 'loginEnded':
      writer.u8(LOGIN_ENDED)
      writer.short(frame.uid)
      writer.short(frame.device ?? '')
      writer.u8(frame.sid === null ? 0 : 1)
      writer.long(frame.sid ?? '')
      return
    case 'plain':
      writer.u8(PLAIN)
      writer.raw(frame.bytes, 0, frame.bytes.length)
      return
    case 'deviceLost':
      writer.u8(DEVICE_LOST)
      writer.short(frame.clientId)
      writer.f64(frame.order)
      return
    case 'question':
      writer.u8(QUESTION)
      writer.u48(frame.id)
      writer.short(frame.name)
      writer.long(frame.json)
      return
    case 'answer':
      writer.u8(ANSWER)
      writer.u48(frame.id)
      writer.u8(frame.ok ? 1 : 0)
      writer.long(frame.json)
      return
    case 'leaving':
      writer.u8(LEAVING)
      return
    case 'lost':
      writer.u8(LOST)
      writer.u48(frame.ageMs)
      return
    case 'signal':
      writer.u8(SIGNAL)
      writer.raw(frame.bytes, 0, frame.bytes.length)
      return
    case 'presence':
      writer.u8(PRESENCE)
      writer.short(frame.uid)
      writer.u8(PRESENCE_STATES.indexOf(frame.part.state))
      writer.u48(frame.part.n)
      writer.u48(frame.part.at)
      return
  }
}

function writeSeq(writer: FrameWriter, kind: number, first: string, second: string, seq: number): void {
  writer.u8(kind)
  writer.short(first)
  writer.short(second)
  writer.u48(seq)
}

/** The frame as bytes of its own. */
export function encodeFrame(frame: Frame): Buffer {
  const writer = new FrameWriter(256)
  writeFrame(writer, frame)
  return writer.copyFrom(0)
}

/** Reads the frame in `bytes[start, end)`; null if its kind is unknown. Throws a `RangeError` if it is cut. */
export function readFrame(bytes: Buffer, start: number, end: number): Frame | null {
  const reader = new FrameReader(bytes, start, end)
  switch (reader.u8()) {
    case ENTRY:
      return readEntry(reader)
    case GREW:
      return { kind: 'grew', log: reader.short() as LogId, epoch: reader.short(), head: reader.u48() }
    case JOINED:
      return { kind: 'joined', ...readMember(reader), fromSeq: reader.u48() }
    case LEFT:
      return { kind: 'left', ...readMember(reader), toSeq: reader.u48() }
    case READ:
      return { kind: 'read', ...readMember(reader), seq: reader.u48() }
    case CHANGED:
      return {
        kind: 'changed',
        scope: reader.short() as ChangeScope,
        uid: reader.short() as UserId,
        version: reader.u48(),
      }
    case LOGIN_ENDED:
      return readLoginEnded(reader)
    case PLAIN:
      return { kind: 'plain', bytes: bytes.subarray(reader.at, end) }
    case DEVICE_LOST:
      return { kind: 'deviceLost', clientId: reader.short() as ClientId, order: reader.f64() }
    case QUESTION:
      return { kind: 'question', id: reader.u48(), name: reader.short(), json: reader.long() }
    case ANSWER:
      return { kind: 'answer', id: reader.u48(), ok: reader.u8() === 1, json: reader.long() }
    case LEAVING:
      return { kind: 'leaving' }
    case LOST:
      return { kind: 'lost', ageMs: reader.u48() }
    case SIGNAL:
      return { kind: 'signal', bytes: bytes.subarray(reader.at, end) }
    case PRESENCE:
      return readPresence(reader)
    default:
      return null
  }
}

function readEntry(reader: FrameReader): EntryFrame {
  return {
    kind: 'entry',
    log: reader.short() as LogId,
    epoch: reader.short(),
    seq: reader.u48(),
    uid: reader.short() as UserId,
    device: (reader.short() || null) as DeviceId | null,
    withheld: false,
    bytes: reader.bytes,
    start: reader.at,
    end: reader.end,
  }
}

function readMember(reader: FrameReader): { log: LogId; uid: UserId } {
  return { log: reader.short() as LogId, uid: reader.short() as UserId }
}

function readPresence(reader: FrameReader): Frame | null {
  const uid = reader.short() as UserId
  const state = PRESENCE_STATES[reader.u8()]
  const part = { n: reader.u48(), at: reader.u48() }
  return state === undefined ? null : { kind: 'presence', uid, part: { state, ...part } }
}

function readLoginEnded(reader: FrameReader): Frame {
  const uid = reader.short() as UserId
  const device = reader.short() as DeviceId
  const hasSid = reader.u8() === 1
  const sid = reader.long()
  return { kind: 'loginEnded', uid, device: device === '' ? null : device, sid: hasSid ? sid : null }
}
