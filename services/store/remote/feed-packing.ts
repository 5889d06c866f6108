/** The feed of a turn as one frame, which is the same for every worker; entries keep their bytes together. */
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { CommitFeed, CommittedEntry } from '../contract.ts'
import { encodeFrame, type Frame } from './frame.ts'
import { FEED } from './messages.ts'

const ENTRY = 0
const JOINED = 1
const LEFT = 2
const READ = 3
const LOGIN_ENDED = 4
const DEVICE_ENDED = 5
const WITHHELD = 6
const GREW = 7
const CHANGED = 8

/** Kind, seq, start and end of the bytes, and lengths of log, epoch, uid, device. */
const ITEM_NUMBERS = 8
/** A longer run of items becomes several frames. */
const ITEMS_MAX = 4096
const BYTES_MAX = 1024 * 1024

export class FeedPacker {
  readonly #numbers = new Float64Array(ITEMS_MAX * ITEM_NUMBERS)
  #items = 0
  #text = ''
  /** Where the entries lie: `bytes[start, end)`. */
  #bytes: Buffer | null = null
  #start = 0
  #end = 0

  get isEmpty(): boolean {
    return this.#items === 0
  }

  /** Whether one more item, an entry or another, can be packed before {@link take}. */
  hasRoom(entry: CommittedEntry | null): boolean {
    if (this.#items === ITEMS_MAX) return false
    if (entry === null || this.#bytes === null) return true
    return entry.bytes === this.#bytes && entry.start >= this.#end && this.#end - this.#start < BYTES_MAX
  }

  entry({ log, epoch, seq, uid, device, withheld, bytes, start, end }: CommittedEntry): void {
    if (this.#bytes === null) {
      this.#bytes = bytes
      this.#start = start
    }
    this.#end = end
    const kind = withheld ? WITHHELD : ENTRY
    this.#add(kind, seq, start - this.#start, end - this.#start, log, epoch, uid, device ?? '')
  }

  grew(log: LogId, epoch: string, head: number): void {
    this.#add(GREW, head, 0, 0, log, epoch, '', '')
  }

  joined(log: LogId, uid: UserId, fromSeq: number): void {
    this.#add(JOINED, fromSeq, 0, 0, log, '', uid, '')
  }

  left(log: LogId, uid: UserId, toSeq: number): void {
    this.#add(LEFT, toSeq, 0, 0, log, '', uid, '')
  }

  read(uid: UserId, log: LogId, seq: number): void {
    this.#add(READ, seq, 0, 0, log, '', uid, '')
  }

  changed(uid: UserId, scope: ChangeScope, version: number): void {
    this.#add(CHANGED, version, 0, 0, scope, '', uid, '')
  }

  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.#add(sid === null ? DEVICE_ENDED : LOGIN_ENDED, 0, 0, 0, '', sid ?? '', uid, device ?? '')
  }

  /** The frame of what was packed; the packer is empty after it. */
  take(): Buffer {
    const bytes = this.#bytes?.subarray(this.#start, this.#end) ?? Buffer.alloc(0)
    const numbers = this.#numbers.subarray(0, this.#items * ITEM_NUMBERS)
    const frame = encodeFrame(FEED, numbers, this.#text, bytes)
    this.#items = 0
    this.#text = ''
    this.#bytes = null
    return frame
  }

  #add(
    kind: number,
    seq: number,
    start: number,
    end: number,
    log: string,
    epoch: string,
    uid: string,
    device: string,
  ): void {
    const at = this.#items++ * ITEM_NUMBERS
    const numbers = this.#numbers
    numbers[at] = kind
    numbers[at + 1] = seq
    numbers[at + 2] = start
    numbers[at + 3] = end
    numbers[at + 4] = log.length
    numbers[at + 5] = epoch.length
    numbers[at + 6] = uid.length
    numbers[at + 7] = device.length
    this.#text += log + epoch + uid + device
  }
}

/** Tells a feed what a frame holds, in its order. */
export function tellFeed({ numbers, text, bytes }: Frame, feed: CommitFeed): void {
  let from = 0
  const take = (length: number): string => {
    const start = from
    from += length
    return text.slice(start, from)
  }
  for (let at = 0; at < numbers.length; at += ITEM_NUMBERS) {
    const seq = numbers[at + 1]!
    const log = take(numbers[at + 4]!) as LogId
    const epoch = take(numbers[at + 5]!)
    const uid = take(numbers[at + 6]!) as UserId
    const device = take(numbers[at + 7]!) as DeviceId
    switch (numbers[at]) {
      case ENTRY:
      case WITHHELD: {
        const start = numbers[at + 2]!
        const end = numbers[at + 3]!
        const author = device === '' ? null : device
        const withheld = numbers[at] === WITHHELD
        feed.entryCommitted({ log, epoch, seq, uid, device: author, withheld, bytes, start, end })
        break
      }
      case GREW:
        feed.logGrew(log, epoch, seq)
        break
      case JOINED:
        feed.memberJoined(log, uid, seq)
        break
      case LEFT:
        feed.memberLeft(log, uid, seq)
        break
      case READ:
        feed.readMoved(uid, log, seq)
        break
      case CHANGED:
        feed.stateChanged(uid, log as string as ChangeScope, seq)
        break
      default:
        feed.loginEnded(uid, device === '' ? null : device, numbers[at] === DEVICE_ENDED ? null : epoch)
    }
  }
}
