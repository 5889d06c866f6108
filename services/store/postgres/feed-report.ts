/** Tells the feed what was committed, with the entries of one commit in one buffer. */
import { encodeEntry } from '../../../protocol/entry.ts'
import type { CommitFeed, SendJob } from '../contract.ts'
import { tellChange } from '../feed-change.ts'
import type { FeedItem } from './work.ts'

/** What a call has done, in the order of its effects. */
export function reportItems(feed: CommitFeed, items: readonly FeedItem[]): void {
  const lines = items.flatMap((item) => (item.kind === 'entry' ? [item.json] : []))
  const bytes = Buffer.from(lines.join(''))
  let end = 0
  for (const item of items) {
    if (item.kind === 'entry') {
      const { log, epoch, seq, uid, device, isPersonal, json } = item
      const start = end
      end += Buffer.byteLength(json)
      if (isPersonal) feed.logGrew(log, epoch, seq)
      else feed.entryCommitted({ log, epoch, seq, uid, device, withheld: false, bytes, start, end })
    } else tellChange(feed, item)
  }
}

/** The entries of sends in one buffer, with the end of each; an entry begins where the one before ends. */
export function encodeSends(entries: readonly { job: SendJob; seq: number; at: number; epoch: string }[]): {
  bytes: Buffer
  ends: number[]
} {
  const ends: number[] = []
  let text = ''
  let end = 0
  for (const { job, seq, at, epoch } of entries) {
    const { log, uid: from, device, id, type, bodyJson } = job
    const line = encodeEntry({ log, epoch, seq, at, kind: 'message', from, device, id, type, bodyJson })
    text += line
    end += Buffer.byteLength(line)
    ends.push(end)
  }
  return { bytes: Buffer.from(text), ends }
}
