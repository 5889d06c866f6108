/**
 * The audience on this node: which inbox sessions hear of which log. It is the other end of the store's feed.
 *
 * A direct log is found by the uids in its name, a group by its list of links, so that a message to a thousand
 * members walks one array.
 */
import { type LogId, logKind, peerOf, peopleOf, type UserId } from '../../protocol/ids.ts'
import type { CommittedEntry } from '../../services/store/contract.ts'
import { Few } from '../few.ts'
import type { Tracing } from '../trace/tracing.ts'
import type { GroupWatch } from './group-watch.ts'
import type { InboxSession } from './inbox-session.ts'
import type { Link } from './link.ts'

export class Hub {
  readonly #users = new Few<UserId, InboxSession>()
  readonly #groups = new Map<LogId, Link[]>()
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
    for (const link of session.links.values()) this.removeFromGroup(link)
  }

  addToGroup(link: Link): void {
    const links = this.#groups.get(link.log)
    if (links === undefined) this.#groups.set(link.log, [link])
    else if (!links.includes(link)) links.push(link)
  }

  removeFromGroup(link: Link): void {
    const links = this.#groups.get(link.log)
    const at = links?.indexOf(link) ?? -1
    if (links === undefined || at < 0) return
    links[at] = links.at(-1)!
    links.pop()
    if (links.length > 0) return
    this.#groups.delete(link.log)
    this.#watch?.release(link.log)
  }

  /** Users here whose inbox hears of a group. */
  membersOf(group: LogId): Set<UserId> {
    return new Set((this.#groups.get(group) ?? []).map(({ session }) => session.uid))
  }

  entryCommitted(entry: CommittedEntry): void {
    const { log, uid } = entry
    this.#tracing.armed?.rung(entry)
    if (logKind(log) === 'group') {
      const links = this.#groups.get(log)
      if (links !== undefined)
        for (let i = 0; i < links.length; i++) links[i]!.session.rungLink(links[i]!, entry)
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

  memberJoined(log: LogId, uid: UserId, fromSeq: number): void {
    if (logKind(log) !== 'group') return
    this.#users.each(uid, (session) => session.joined(log, fromSeq))
  }

  memberLeft(log: LogId, uid: UserId, toSeq: number): void {
    this.#users.each(uid, (session) => session.left(log, toSeq))
  }

  /** A doorbell without its entry: whoever hears of the log reads it. */
  logGrew(log: LogId, epoch: string, head: number): void {
    for (const link of [...(this.#groups.get(log) ?? [])]) link.session.grew(log, epoch, head)
    for (const uid of peopleOf(log)) this.#users.each(uid, (session) => session.grew(log, epoch, head))
  }

  #ring(uid: UserId, entry: CommittedEntry): void {
    this.#users.each(uid, (session) => session.rung(entry))
  }
}
