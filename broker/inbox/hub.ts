/**
 * The audience on this node: which inbox sessions hear of which log. It is the other end of the store's feed.
 *
 * A direct log is found by the uids in its name, a group by its list of places, so that a message to a thousand
 * members walks one array.
 */
import { type LogId, logKind, peerOf, peopleOf, type UserId } from '../../protocol/ids.ts'
import type { CommittedEntry } from '../../services/store/contract.ts'
import { Few } from '../few.ts'
import type { Tracing } from '../trace/tracing.ts'
import type { GroupWatch } from './group-watch.ts'
import type { InboxSession } from './inbox-session.ts'
import { letOutBy } from './let-out.ts'
import type { LogPlace } from './log-place.ts'

export class Hub {
  readonly #users = new Few<UserId, InboxSession>()
  readonly #groups = new Map<LogId, LogPlace[]>()
  readonly #tracing: Tracing
  readonly #watch: GroupWatch | null

  /** `watch` where doorbells come from several nodes. */
  constructor(tracing: Tracing, watch: GroupWatch | null = null) {
    this.#tracing = tracing
    this.#watch = watch
  }

  register(session: InboxSession): void {
    this.#users.add(session.uid, session)
  }

  unregister(session: InboxSession): void {
    this.#users.delete(session.uid, session)
    for (const place of session.places.values()) this.removeFromGroup(place)
  }

  addToGroup(place: LogPlace): void {
    const places = this.#groups.get(place.log)
    if (places === undefined) this.#groups.set(place.log, [place])
    else if (!places.includes(place)) places.push(place)
  }

  removeFromGroup(place: LogPlace): void {
    const places = this.#groups.get(place.log)
    const at = places?.indexOf(place) ?? -1
    if (places === undefined || at < 0) return
    places[at] = places.at(-1)!
    places.pop()
    if (places.length > 0) return
    this.#groups.delete(place.log)
    this.#watch?.release(place.log)
  }

  /** Users here whose inbox hears of a group. */
  membersOf(group: LogId): Set<UserId> {
    return new Set((this.#groups.get(group) ?? []).map(({ session }) => session.uid))
  }

  entryCommitted(entry: CommittedEntry): void {
    const { log, uid } = entry
    this.#tracing.armed?.rung(entry)
    if (logKind(log) === 'group') {
      const places = this.#groups.get(log)
      if (places !== undefined)
        for (let i = 0; i < places.length; i++) places[i]!.session.rungAt(places[i]!, entry)
      if (places !== undefined && this.#watch !== null) this.#letOut(entry)
      return
    }
    const peer = peerOf(log, uid)
    if (peer === null) {
      for (const reader of peopleOf(log)) this.#ring(reader, entry)
      return
    }
    this.#ring(peer, entry)
    if (peer !== uid) this.#ring(uid, entry)
  }

  /** Before anything that is written after it rings here. */
  #letOut({ log, seq, bytes, start, end }: CommittedEntry): void {
    for (const uid of letOutBy(bytes, start, end))
      this.#users.each(uid, (session) => session.letOut(log, seq))
  }

  memberJoined(log: LogId, uid: UserId, fromSeq: number): void {
    if (logKind(log) !== 'group') return
    this.#users.each(uid, (session) => session.joined(log, fromSeq))
  }

  memberLeft(log: LogId, uid: UserId, toSeq: number): void {
    this.#users.each(uid, (session) => session.left(log, toSeq))
  }

  /** A doorbell without its entry: whoever hears of the log reads it. */
  logGrew(log: LogId, epoch: string, head: number): void {
    for (const place of [...(this.#groups.get(log) ?? [])]) place.session.grew(log, epoch, head)
    for (const uid of peopleOf(log)) this.#users.each(uid, (session) => session.grew(log, epoch, head))
  }

  #ring(uid: UserId, entry: CommittedEntry): void {
    this.#users.each(uid, (session) => session.rung(entry))
  }
}
