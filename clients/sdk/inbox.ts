/**
 * Entries on their way to the application: each once, in the order of its log, acknowledged when it was handled.
 *
 * An entry is handled when the application asks for the next one. What is not acknowledged when the connection
 * drops comes again; what comes again and was handled is acknowledged and dropped, by (log, epoch, seq). The queue
 * needs no limit of its own for a server that keeps its window; {@link WAITING_MAX} ends one that does not.
 */
import type { Entry, Gap } from '../../protocol/entry.ts'
import { ClientError } from './errors.ts'

/** Above the largest window that a server may be set to. */
const WAITING_MAX = 2048
/** Logs whose last handled entry is remembered; beyond it the one that was quiet for longest is forgotten. */
const LOGS_REMEMBERED_MAX = 100_000

type Item = { content: Entry | Gap; acknowledge: () => void }
type Position = { epoch: string; seq: number }

export class Inbox {
  readonly #onGap: (gap: Gap) => void
  readonly #handled = new Map<string, Position>()
  #waiting: Item[] = []
  #taken: Item | null = null
  #wake: (() => void) | null = null
  #end: { error: Error | null } | null = null
  #iterating = false

  constructor(onGap: (gap: Gap) => void) {
    this.#onGap = onGap
  }

  /** Takes a payload of the inbox topic. Throws {@link ClientError} `bad_answer`; the connection must end then. */
  receive(payload: Uint8Array, acknowledge: () => void): void {
    if (this.#waiting.length >= WAITING_MAX)
      throw new ClientError('bad_answer', 'the server sends beyond its window')
    this.#waiting.push({ content: parseContent(payload), acknowledge })
    this.#wake?.()
  }

  /** The connection is gone: what was not handled comes again over the next one. */
  disconnected(): void {
    this.#waiting = []
  }

  /** Ends the iteration: with an error, or normally. */
  close(error: Error | null): void {
    this.#end ??= { error }
    this.#waiting = []
    this.#wake?.()
  }

  async *entries(): AsyncGenerator<Entry, void, void> {
    if (this.#iterating) throw new Error('the entries of a client are iterated once at a time')
    this.#iterating = true
    try {
      for (;;) {
        const item = await this.#next()
        if (item === null) return
        this.#taken = item
        yield item.content as Entry
        this.#finish()
      }
    } finally {
      // Also when the loop that reads was left: its body has run for the entry that was yielded.
      this.#finish()
      this.#iterating = false
    }
  }

  /** The next entry that was not handled yet; null at the end. Gaps are reported on the way, in their place. */
  async #next(): Promise<Item | null> {
    for (;;) {
      const item = this.#waiting.shift()
      if (item === undefined) {
        if (this.#end?.error) throw this.#end.error
        if (this.#end !== null) return null
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = null
        continue
      }
      if (!this.#isHandled(item.content)) {
        if (!isGap(item.content)) return item
        this.#onGap(item.content)
        this.#remember(item.content)
      }
      item.acknowledge()
    }
  }

  #finish(): void {
    const item = this.#taken
    if (item === null) return
    this.#taken = null
    this.#remember(item.content)
    item.acknowledge()
  }

  #isHandled(content: Entry | Gap): boolean {
    const last = this.#handled.get(content.log)
    return last !== undefined && last.epoch === content.epoch && lastSeq(content) <= last.seq
  }

  #remember(content: Entry | Gap): void {
    this.#handled.delete(content.log)
    this.#handled.set(content.log, { epoch: content.epoch, seq: lastSeq(content) })
    if (this.#handled.size <= LOGS_REMEMBERED_MAX) return
    for (const quietest of this.#handled.keys()) {
      this.#handled.delete(quietest)
      return
    }
  }
}

function isGap(content: Entry | Gap): content is Gap {
  return content.kind === 'gap'
}

function lastSeq(content: Entry | Gap): number {
  return isGap(content) ? content.to : content.seq
}

function parseContent(payload: Uint8Array): Entry | Gap {
  const content = parseObject(payload) as Partial<Entry & Gap>
  const seq = content.kind === 'gap' ? content.to : content.seq
  if (typeof content.log !== 'string' || typeof content.epoch !== 'string' || !Number.isInteger(seq)) {
    throw new ClientError('bad_answer', 'an inbox payload is neither an entry nor a gap')
  }
  return content as Entry | Gap
}

/** A payload of the server as a JSON object. Throws {@link ClientError} `bad_answer`. */
export function parseObject(payload: Uint8Array): object {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(payload))
  } catch (cause) {
    throw new ClientError('bad_answer', 'a payload of the server is not JSON', { cause })
  }
  if (typeof value !== 'object' || value === null)
    throw new ClientError('bad_answer', 'a payload of the server is not an object')
  return value
}
