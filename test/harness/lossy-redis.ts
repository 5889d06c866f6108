/** Loses messages of pub/sub on their way from Redis to a subscriber, and nothing else (RESP2, redis.io/docs/reference/protocol-spec). */
import type { Filter } from './tcp-proxy.ts'

const CR = 13
const ARRAY = 42
const BULK = 36

/** A filter that drops the published messages that `isLost` picks; `dropped` counts. */
export function createLossyFilter(
  isLost: (message: Buffer) => boolean,
  dropped: { count: number },
): () => Filter {
  return () => {
    let held = Buffer.alloc(0)
    return (chunk) => {
      held = Buffer.concat([held, chunk])
      const out: Buffer[] = []
      let start = 0
      for (;;) {
        const end = endOfReply(held, start)
        if (end === -1) break
        const reply = held.subarray(start, end)
        if (isMessage(reply) && isLost(reply)) dropped.count++
        else out.push(reply)
        start = end
      }
      held = held.subarray(start)
      return Buffer.concat(out)
    }
  }
}

function isMessage(reply: Buffer): boolean {
  return /^\*3\r\n\$\d+\r\ns?message\r\n/.test(reply.subarray(0, 32).toString('latin1'))
}

/** Where the reply that begins at `start` ends; -1 when it is not whole yet. */
function endOfReply(bytes: Buffer, start: number): number {
  const lineEnd = bytes.indexOf(CR, start)
  if (lineEnd === -1 || lineEnd + 2 > bytes.length) return -1
  const kind = bytes[start]
  const after = lineEnd + 2
  if (kind !== ARRAY && kind !== BULK) return after
  const length = Number(bytes.subarray(start + 1, lineEnd).toString('latin1'))
  if (length < 0) return after
  if (kind === BULK) return after + length + 2 <= bytes.length ? after + length + 2 : -1
  let at = after
  for (let i = 0; i < length; i++) {
    at = endOfReply(bytes, at)
    if (at === -1) return -1
  }
  return at
}
