/** What is live on its way to other nodes: an event, for whom it is and as devices get it; or who is sent out of a room. */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { FrameReader, FrameWriter } from '../cluster/frame-writer.ts'

/** Who does not get it: one device, or with null all devices of a person. */
export type Except = { uid: UserId; device: DeviceId | null }

type LiveFrame =
  | { kind: 'user'; uid: UserId; except: Except | null; payload: Buffer }
  | { kind: 'group'; group: LogId; except: Except | null; payload: Buffer }
  | { kind: 'unseated'; group: LogId; uid: UserId }

const USER = 1
const GROUP = 2
const UNSEATED = 3

export function encodeLiveFrame(frame: LiveFrame): Buffer {
  if (frame.kind === 'unseated') return encodeUnseated(frame)
  const { except, payload } = frame
  const writer = new FrameWriter(payload.length + 256)
  writer.u8(frame.kind === 'user' ? USER : GROUP)
  writer.short(frame.kind === 'user' ? frame.uid : frame.group)
  // No uid and no device is empty.
  writer.short(except?.uid ?? '')
  writer.short(except?.device ?? '')
  writer.raw(payload, 0, payload.length)
  return writer.copyFrom(0)
}

function encodeUnseated({ group, uid }: { group: LogId; uid: UserId }): Buffer {
  const writer = new FrameWriter(256)
  writer.u8(UNSEATED)
  writer.short(group)
  writer.short(uid)
  return writer.copyFrom(0)
}

/** Null if its kind is of another version; throws a `RangeError` if it is cut. The payload is a copy. */
export function readLiveFrame(bytes: Buffer): LiveFrame | null {
  const reader = new FrameReader(bytes, 0, bytes.length)
  const kind = reader.u8()
  const name = reader.short()
  const uid = reader.short() as UserId
  if (kind === UNSEATED) return { kind: 'unseated', group: name as LogId, uid }
  const device = (reader.short() || null) as DeviceId | null
  const except = uid === '' ? null : { uid, device }
  const payload = Buffer.from(bytes.subarray(reader.at))
  if (kind === USER) return { kind: 'user', uid: name as UserId, except, payload }
  if (kind === GROUP) return { kind: 'group', group: name as LogId, except, payload }
  return null
}
