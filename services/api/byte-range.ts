/** The header `range` of a request for bytes [RFC 9110 14.1.2]. */

/** Both ends included; null for the whole, which is also the answer to a range that is not understood. */
export type AskedRange = { start: number; end: number } | 'outside' | null

const ONE_RANGE = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/

/** One range of something that has `bytes` bytes. Several ranges at once are answered with the whole. */
export function parseRange(header: string | undefined, bytes: number): AskedRange {
  const [, first, last, suffix] = ONE_RANGE.exec(header?.trim() ?? '') ?? []
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), bytes)
    return length === 0 ? 'outside' : { start: bytes - length, end: bytes - 1 }
  }
  if (first === undefined) return null
  const start = Number(first)
  const end = last === undefined || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1)
  if (last !== undefined && last !== '' && Number(last) < start) return null
  return start >= bytes ? 'outside' : { start, end }
}
