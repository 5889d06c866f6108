/** The PUBLISH of a run: built once, and stamped for each message. */
import { encodePublish, type MqttVersion, type PublishFrame } from './frames.ts'
import { blankMarker, MARKER_BYTES, type Stamp, stampMarker, writeDigits } from './marker.ts'
import { expandTemplate } from './template.ts'

/**
 * A PUBLISH for one target, built once; a message is a copy of it with packet id, marker and id stamped in.
 * In the payload template `{mark}` is the marker, `{id}` 15 characters unique per message and run, `{to}` the target's
 * line in the targets file, `{fill}` padding up to the wanted size.
 */
export interface Message extends PublishFrame {
  target: number
  markerAt: number
  /** Where the unique id goes; -1 if the template has none. */
  idAt: number
}

interface MessageFields {
  version: MqttVersion
  qos: number
  run: string
  topic: string
  template: string
  target: number
  to?: string | undefined
  pad: number
  bytes: number
}

const ID_BYTES = 15

export function buildMessage(fields: MessageFields): Message {
  const payload = fillTemplate(fields)
  const frame = encodePublish(fields.version, fields.topic, payload.bytes, fields.qos)
  return {
    ...frame,
    target: fields.target,
    markerAt: frame.payloadAt + payload.markerAt,
    idAt: payload.idAt < 0 ? -1 : frame.payloadAt + payload.idAt,
  }
}

/** Stamps the copy of `message` that starts at `start`. */
export function stampMessage(
  bytes: Buffer,
  start: number,
  message: Message,
  packetId: number,
  stamp: Stamp,
): void {
  if (message.packetIdAt >= 0) {
    bytes[start + message.packetIdAt] = packetId >> 8
    bytes[start + message.packetIdAt + 1] = packetId & 255
  }
  stampMarker(bytes, start + message.markerAt, stamp)
  if (message.idAt < 0) return
  writeDigits(bytes, start + message.idAt + 4, 3, stamp.publisher)
  writeDigits(bytes, start + message.idAt + 7, 3, message.target)
  writeDigits(bytes, start + message.idAt + 10, 5, stamp.sequence)
}

function fillTemplate(fields: MessageFields): { bytes: Buffer; markerAt: number; idAt: number } {
  const { template, run, target, to, pad } = fields
  if (!template.includes('{mark}')) throw new Error('the payload template needs {mark}')
  // The id starts with the run in clear, as the marker does, so that ids differ between runs.
  const blankId = run.padEnd(ID_BYTES, 'A')
  let text = expandTemplate(template, { t: target }, pad)
  if (text.includes('{to}')) text = text.replaceAll('{to}', needTo(to))
  text = text.includes('{fill}') ? text : `${text}{fill}`
  const fixedBytes = Buffer.byteLength(
    text.replace('{fill}', '').replace('{mark}', 'x'.repeat(MARKER_BYTES)).replace('{id}', blankId),
  )
  text = text.replace('{fill}', 'x'.repeat(Math.max(0, fields.bytes - fixedBytes)))
  const idAt = indexWithout(text, '{id}', '{mark}', MARKER_BYTES)
  const markerAt = indexWithout(text, '{mark}', '{id}', ID_BYTES)
  text = text.replace('{mark}', blankMarker(run)).replace('{id}', blankId)
  return { bytes: Buffer.from(text, 'utf8'), markerAt, idAt }
}

function needTo(to: string | undefined): string {
  if (to === undefined) throw new Error('{to} in the payload needs --targets-file')
  return to
}

/** Byte position of a placeholder once another one before it has been replaced by `otherBytes` bytes; -1 if absent. */
function indexWithout(text: string, wanted: string, other: string, otherBytes: number): number {
  const at = text.indexOf(wanted)
  if (at < 0) return -1
  const before = text.slice(0, at)
  return Buffer.byteLength(before) + (before.includes(other) ? otherBytes - other.length : 0)
}
