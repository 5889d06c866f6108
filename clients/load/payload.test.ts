import { expect, test } from 'vitest'
import { findMarker, isOfRun, readPublisher, readSentUs, readSequence } from './marker.ts'
import { buildMessage, stampMessage } from './payload.ts'

const FIELDS = { version: 4, qos: 1, run: 'Run1', topic: 'u/a/send', target: 7, pad: 6, bytes: 200 } as const
const SEND = '{"to":"b{t}","id":"{id}","text":"{mark}{fill}"}'

function stamped(template: string, stamp = { publisher: 3, sequence: 5, sentUs: 9 }): Buffer {
  const message = buildMessage({ ...FIELDS, template })
  const bytes = Buffer.from(message.bytes)
  stampMessage(bytes, 0, message, 1, stamp)
  return bytes.subarray(message.payloadAt)
}

test('a message is a JSON text of exactly the wanted size, addressed to its target', () => {
  const payload = stamped(SEND)
  expect(payload.length).toBe(200)
  expect(JSON.parse(payload.toString())).toMatchObject({
    to: 'b000007',
    id: expect.stringMatching(/^Run1[\w-]{11}$/),
  })
})

test('the marker is read back when the text arrives inside another JSON text', () => {
  const stamp = { publisher: 262_143, sequence: 64 ** 5 - 1, sentUs: 2 ** 36 - 1 }
  const { text } = JSON.parse(stamped(SEND, stamp).toString()) as { text: string }
  const entry = Buffer.from(JSON.stringify({ log: 'd:a:b', seq: 12, body: { text } }))
  const at = findMarker(entry, 0, entry.length, 0)
  expect(isOfRun(entry, at, Buffer.from('Run1'))).toBe(true)
  expect({
    publisher: readPublisher(entry, at),
    sequence: readSequence(entry, at),
    sentUs: readSentUs(entry, at),
  }).toEqual(stamp)
})

test('ids differ by publisher, target and sequence', () => {
  const idOf = (publisher: number, sequence: number) =>
    (JSON.parse(stamped(SEND, { publisher, sequence, sentUs: 0 }).toString()) as { id: string }).id
  expect(new Set([idOf(1, 1), idOf(1, 2), idOf(2, 1), idOf(2, 2)]).size).toBe(4)
})

test('a marker that ends beyond the payload is not taken for one', () => {
  const payload = stamped('{mark}')
  expect(findMarker(payload, 0, 21, 0)).toBe(-1)
})

test('a template without {mark} is refused', () => {
  expect(() => stamped('{fill}')).toThrow('{mark}')
})
