/** JSON payloads from outside. */
import { isUtf8 } from 'node:buffer'
import { WochatError } from '../../protocol/errors.ts'

const REPLACEMENT = '\ufffd'

/** Parses `buffer[start, end)`. Throws `too_large`, or `bad_json` for what is not JSON in UTF-8. */
export function parsePayload(buffer: Buffer, start: number, end: number, bytesMax: number): unknown {
  if (end - start > bytesMax) throw new WochatError('too_large', `a payload has at most ${bytesMax} bytes`)
  const text = buffer.toString('utf8', start, end)
  // Decoding puts U+FFFD for what is not UTF-8; only then is it worth to ask whether it was there before.
  if (text.includes(REPLACEMENT) && !isUtf8(buffer.subarray(start, end))) {
    throw new WochatError('bad_json', 'the payload is not UTF-8')
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new WochatError('bad_json', 'the payload is not JSON')
  }
}
