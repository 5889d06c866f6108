/**
 * Reads streams of work for one worker, on a connection of its own: several streams, or in a Cluster one, because there
 * each may be on another server.
 */
import type { Redis } from 'ioredis'
import type { RedisClient } from './redis.ts'
import { isGroupGone, type StreamItem, type WorkStream } from './work-stream.ts'

/** A read waits this long for the first item; so long may a reader go on with a stream that others read now. */
const BLOCK_MS = 250
/** Of each stream, per read. */
const READ_ITEMS_MAX = 128
const RETRY_MS = 200

type StreamReaderOptions = {
  client: RedisClient
  stream: WorkStream
  /** Shown by CLIENT LIST. */
  name: string
  /** The streams to read now. Awaited before each read; none ends the reader. */
  keys: () => Promise<readonly string[]>
  /** Does the work and acknowledges it; the next read waits for that. */
  work: (items: StreamItem[]) => Promise<void>
  /** All that was in the streams at `since` (ms of `performance.now()`) has been read. */
  drained: (keys: readonly string[], since: number) => void
  /** A stream was emptied, or its server was away: what had not been read may be gone. */
  interrupted: (keys: readonly string[], error: Error) => void
}

/** Resolves when there are no streams left to read; never rejects. */
export async function readStreams(options: StreamReaderOptions): Promise<void> {
  let connection: Redis | null = null
  for (;;) {
    const keys = await options.keys()
    if (keys.length === 0) break
    try {
      connection ??= await options.client.connectTo(keys[0]!, options.name)
      const since = performance.now()
      const items = await options.stream.read(connection, keys, {
        itemsMax: READ_ITEMS_MAX,
        blockMs: BLOCK_MS,
      })
      if (items.length > 0) await options.work(items)
      if (isDrained(items)) options.drained(keys, since)
    } catch (error) {
      connection?.disconnect()
      connection = null
      options.interrupted(keys, error as Error)
      if (isGroupGone(error)) await makeAgain(options.stream, keys)
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
  connection?.disconnect()
}

/** No stream gave as much as it may give at once. */
function isDrained(items: readonly StreamItem[]): boolean {
  if (items.length < READ_ITEMS_MAX) return true
  return [...Map.groupBy(items, ({ key }) => key).values()].every(({ length }) => length < READ_ITEMS_MAX)
}

/** Failures show at the next read. */
async function makeAgain(stream: WorkStream, keys: readonly string[]): Promise<void> {
  await Promise.allSettled(keys.map((key) => stream.ensure(key)))
}
