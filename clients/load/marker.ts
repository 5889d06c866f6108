/**
 * What makes a message recognisable wherever it ends up, also as a string inside a JSON entry:
 *
 *     ~wl~ RRRR PPP SSSSS TTTTTT      (without the spaces, digits to the base 64 from the URL-safe alphabet)
 *
 * R names the run, so that leftovers of another one are not counted, P the publisher, S its sequence (there is room
 * for 64^5, more than a publisher sends in a run), T the time sent.
 */
const PREFIX = Buffer.from('~wl~', 'latin1')
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const RUN_AT = PREFIX.length
const PUBLISHER_AT = RUN_AT + 4
const SEQUENCE_AT = PUBLISHER_AT + 3
const TIME_AT = SEQUENCE_AT + 5

export const MARKER_BYTES = TIME_AT + 6
export const PUBLISHERS_MAX = 64 ** 3

const CODES = Uint8Array.from(ALPHABET, (digit) => digit.charCodeAt(0))
const DIGITS = new Uint8Array(256)
for (const [value, code] of CODES.entries()) DIGITS[code] = value

export const RUN_PATTERN = /^[A-Za-z0-9_-]{4}$/

export function randomRun(): string {
  return Array.from({ length: 4 }, () => ALPHABET[Math.floor(Math.random() * 64)]).join('')
}

/** The marker with everything but the run still zero, to be placed in a frame and stamped message by message. */
export function blankMarker(run: string): string {
  return `${PREFIX.toString('latin1')}${run}${'A'.repeat(MARKER_BYTES - PUBLISHER_AT)}`
}

export interface Stamp {
  publisher: number
  sequence: number
  sentUs: number
}

export function stampMarker(bytes: Buffer, at: number, { publisher, sequence, sentUs }: Stamp): void {
  writeDigits(bytes, at + PUBLISHER_AT, 3, publisher)
  writeDigits(bytes, at + SEQUENCE_AT, 5, sequence)
  writeDigits(bytes, at + TIME_AT, 3, Math.floor(sentUs / 2 ** 18))
  writeDigits(bytes, at + TIME_AT + 3, 3, sentUs % 2 ** 18)
}

/** Base 64 digits of a number below 2^30, the highest first. */
export function writeDigits(bytes: Buffer, at: number, digits: number, value: number): void {
  let rest = value
  for (let index = at + digits - 1; index >= at; index--) {
    bytes[index] = CODES[rest & 63]!
    rest >>>= 6
  }
}

/** Where the marker starts in [start, end), or -1. `hint` is where it was in the last message, which is nearly always right. */
export function findMarker(bytes: Buffer, start: number, end: number, hint: number): number {
  const guess = start + hint
  if (guess + MARKER_BYTES <= end && hasPrefix(bytes, guess)) return guess
  const found = bytes.indexOf(PREFIX, start)
  return found >= 0 && found + MARKER_BYTES <= end ? found : -1
}

export function isOfRun(bytes: Buffer, at: number, run: Buffer): boolean {
  return (
    bytes[at + RUN_AT] === run[0] &&
    bytes[at + RUN_AT + 1] === run[1] &&
    bytes[at + RUN_AT + 2] === run[2] &&
    bytes[at + RUN_AT + 3] === run[3]
  )
}

export function readPublisher(bytes: Buffer, at: number): number {
  return threeDigits(bytes, at + PUBLISHER_AT)
}

export function readSequence(bytes: Buffer, at: number): number {
  const low = DIGITS[bytes[at + SEQUENCE_AT + 3]!]! * 64 + DIGITS[bytes[at + SEQUENCE_AT + 4]!]!
  return threeDigits(bytes, at + SEQUENCE_AT) * 4096 + low
}

export function readSentUs(bytes: Buffer, at: number): number {
  return threeDigits(bytes, at + TIME_AT) * 2 ** 18 + threeDigits(bytes, at + TIME_AT + 3)
}

function threeDigits(bytes: Buffer, at: number): number {
  return (DIGITS[bytes[at]!]! << 12) | (DIGITS[bytes[at + 1]!]! << 6) | DIGITS[bytes[at + 2]!]!
}

function hasPrefix(bytes: Buffer, at: number): boolean {
  return (
    bytes[at] === PREFIX[0] &&
    bytes[at + 1] === PREFIX[1] &&
    bytes[at + 2] === PREFIX[2] &&
    bytes[at + 3] === PREFIX[3]
  )
}
