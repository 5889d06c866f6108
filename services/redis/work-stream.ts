/**
 * Streams in Redis that a group of workers share: an item is read by one of them, stays pending until it is
 * acknowledged, and is claimed by another when that takes too long. So each item is worked on at least once; twice
 * after a takeover. An acknowledged item is deleted, so a stream is as long as what waits. A stream that nobody appends to or works on ends after
 * {@link STREAM_LIFE_MS}.
 */
import { STREAM_LIFE_MS } from './keys.ts'
import type { RedisClient } from './redis.ts'

/** An item of a stream; `id` begins with the ms of the clock of Redis at which it was appended. */
export type StreamItem = { key: string; id: string; fields: Buffer[] }

/** The one group of every stream. */
const GROUP = 'workers'
/** A worker that was not heard of for this long is forgotten by its streams. A restarted worker has a new name. */
const CONSUMER_FORGET_MS = 3_600_000

/** What {@link WorkStream.read} needs: a connection that nobody else waits for. */
type BlockingConnection = {
  callBuffer(command: string, ...args: (string | number)[]): Promise<unknown>
}

export type Command = [name: string, ...args: (string | number | Buffer)[]]

export class WorkStream {
  readonly #client: RedisClient
  readonly #consumer: string

  constructor(client: RedisClient, consumer: string) {
    this.#client = client
    this.#consumer = consumer
  }

  /** Makes the stream and its group, if need be, and renews its life; answers whether they were new. */
  async ensure(key: string): Promise<boolean> {
    try {
      // From the first item: what was appended before the first worker came waits for it.
      await sendTogether(this.#client, [['xgroup', 'CREATE', key, GROUP, '0', 'MKSTREAM'], renewal(key)])
      return true
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('BUSYGROUP')) return false
      throw error
    }
  }

  /**
   * New items of streams (in a Cluster: of one slot), up to `itemsMax` of each; waits up to `blockMs` for the first.
   * Rejects with an error that {@link isGroupGone} knows when a stream was deleted.
   */
  async read(
    connection: BlockingConnection,
    keys: readonly string[],
    { itemsMax, blockMs }: { itemsMax: number; blockMs: number },
  ): Promise<StreamItem[]> {
    const options = ['GROUP', GROUP, this.#consumer, 'COUNT', itemsMax, 'BLOCK', blockMs]
    const after = keys.map(() => '>')
    const reply = await connection.callBuffer('xreadgroup', ...options, 'STREAMS', ...keys, ...after)
    const streams = (reply ?? []) as [Buffer, RawItem[]][]
    return streams.flatMap(([key, items]) => toItems(key.toString(), items))
  }

  /** Takes items over that nobody acknowledged for `idleMs`, the oldest first, up to `itemsMax`. */
  async claim(
    key: string,
    { idleMs, itemsMax }: { idleMs: number; itemsMax: number },
  ): Promise<StreamItem[]> {
    const args = [key, GROUP, this.#consumer, idleMs, '0-0', 'COUNT', itemsMax]
    const reply = await this.#client.commands.callBuffer('xautoclaim', ...args)
    const [, items] = reply as [Buffer, RawItem[]]
    return toItems(key, items)
  }

  /** Acknowledges and deletes; items that are gone already do not matter. */
  async finish(items: readonly StreamItem[]): Promise<void> {
    const commands: Command[] = []
    for (const [key, ofKey] of Map.groupBy(items, ({ key }) => key)) {
      const ids = ofKey.map(({ id }) => id)
      commands.push(['xack', key, GROUP, ...ids], ['xdel', key, ...ids])
    }
    await sendTogether(this.#client, commands)
  }

  /** Items that wait or are being worked on, of all the streams. */
  async length(keys: readonly string[]): Promise<number> {
    const lengths = await sendTogether(
      this.#client,
      keys.map((key) => ['xlen', key]),
    )
    return lengths.reduce<number>((sum, length) => sum + Number(length), 0)
  }

  /** Call more often than {@link STREAM_LIFE_MS}: so long does a stream live that nothing is appended to. */
  async renew(key: string): Promise<void> {
    await sendTogether(this.#client, [renewal(key)])
  }

  /** Forgets workers that are long gone and left nothing behind, so that restarts do not pile up names. */
  async forgetGone(key: string): Promise<void> {
    const rows = (await this.#client.commands.xinfo('CONSUMERS', key, GROUP)) as unknown[][]
    for (const row of rows) {
      const [, name, , pending, , idleMs] = row as [string, string, string, number, string, number]
      if (pending > 0 || idleMs < CONSUMER_FORGET_MS) continue
      await this.#client.commands.xgroup('DELCONSUMER', key, GROUP, name)
    }
  }
}

/** Goes with each append, so that a stream is never without a life. */
export function renewal(key: string): Command {
  return ['pexpire', key, STREAM_LIFE_MS]
}

/** Redis was emptied, or the stream was deleted with its group. */
export function isGroupGone(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOGROUP')
}

/**
 * Sends commands in one write, where the keys may be on one server; answers in their order, or rejects with the
 * first error.
 */
export async function sendTogether(client: RedisClient, commands: readonly Command[]): Promise<unknown[]> {
  if (commands.length === 0) return []
  if (client.isCluster)
    return Promise.all(commands.map(([name, ...args]) => client.commands.call(name, ...args)))
  const pipeline = client.masters()[0]!.pipeline()
  for (const [name, ...args] of commands) pipeline.call(name, ...args)
  const replies = (await pipeline.exec()) ?? []
  return replies.map(([error, reply]) => {
    if (error) throw error
    return reply
  })
}

type RawItem = [id: Buffer, fields: Buffer[]]

function toItems(key: string, items: readonly RawItem[]): StreamItem[] {
  return items.map(([id, fields]) => ({ key, id: id.toString(), fields }))
}
