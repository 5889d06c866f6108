/** What a cut left without a PUBACK, read again from the store: a session keeps positions, never messages. */
import type { LogId } from '../../protocol/ids.ts'
import type { DrainPage, Store } from '../../services/store/contract.ts'
import type { InboxSession } from './inbox-session.ts'
import type { InboxServices, InboxWire } from './inbox-wire.ts'
import { SPAN_MAX } from './inflight.ts'
import type { LogPlace } from './log-place.ts'

const PUBLISH_QOS1_DUP = 0x3a
/** Bytes of one read. */
const READ_BYTES_MAX = 512 * 1024

type Redelivery = Pick<InboxServices, 'store' | 'metrics'> & {
  session: InboxSession
  topic: Buffer
  wire: InboxWire
  /** False when the connection is gone. */
  isCurrent: () => boolean
  /** Gaps without a PUBACK, by packet id. */
  gaps: ReadonlyMap<number, Buffer> | null
}

/** Sends again what a cut left without a PUBACK: same ids, DUP, in order [MQTT-4.4.0-1]. */
export async function redeliver({
  session,
  topic,
  wire,
  isCurrent,
  gaps,
  store,
  metrics,
}: Redelivery): Promise<void> {
  const waiting = [...session.inflight.unackedEntries()]
  if (waiting.length === 0) return
  const found = await readUnacked(store, session, waiting)
  if (!isCurrent()) return
  for (const { packetId, place, seq } of waiting) {
    const payload = gaps?.get(packetId) ?? found.get(place)?.get(seq)
    if (payload === undefined) {
      // Trimmed since it was sent. Nobody will get it any more, so the cursor may pass it.
      session.inflight.acknowledge(packetId, wire.now())
      continue
    }
    metrics.redeliveries++
    wire.outbox.publish(PUBLISH_QOS1_DUP, topic, packetId, wire.version, payload, 0, payload.length)
  }
}

/** The JSON of the entries of `waiting`, and of others between them; one that was trimmed meanwhile is not there. */
async function readUnacked(
  store: Pick<Store, 'drain'>,
  { uid, device, places: placesOf }: InboxSession,
  waiting: readonly { place: LogPlace; seq: number }[],
): Promise<Map<LogPlace, Map<number, Buffer>>> {
  const found = new Map<LogPlace, Map<number, Buffer>>()
  const after = new Map<LogPlace, number>()
  for (const { place, seq } of waiting) if (!after.has(place)) after.set(place, seq - 1)
  while (after.size > 0) {
    const places = [...after.keys()]
    const { pages, bytes } = await store.drain({
      uid,
      device,
      requests: places.map((place) => ({ log: place.log, after: after.get(place)! })),
      entriesMax: SPAN_MAX,
      bytesMax: READ_BYTES_MAX,
    })
    for (const { log, seq, start, end } of entriesOf(pages)) {
      const place = placesOf.get(log)!
      if (!found.has(place)) found.set(place, new Map())
      found.get(place)!.set(seq, bytes.subarray(start, end))
    }
    for (const [i, page] of pages.entries()) {
      const place = places[i]!
      if (page.through >= place.sent || page.through === page.after) after.delete(place)
      else after.set(place, page.through)
    }
  }
  return found
}

function* entriesOf(pages: DrainPage[]): Generator<{ log: LogId; seq: number; start: number; end: number }> {
  let start = 0
  for (const { log, seqs, ends } of pages) {
    for (const [i, seq] of seqs.entries()) {
      const end = ends[i]!
      yield { log, seq, start, end }
      start = end
    }
  }
}
