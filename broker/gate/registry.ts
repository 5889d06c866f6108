/** The open connections of this node, by client id and by user; and sessions between two connections. */
import type { ClientId, DeviceId, UserId } from '../../protocol/ids.ts'
import { Few } from '../few.ts'
import type { InboxSession } from '../inbox/inbox-session.ts'
import type { Connection } from './connection.ts'

/** Sessions kept in memory after a cut, for a redelivery under the same packet ids; the oldest go first. */
const DETACHED_MAX = 10_000
/** Ended logins remembered for the connections that are being opened. */
const ENDED_MAX = 10_000

type EndedLogin = { uid: UserId; device: DeviceId | null; sid: string | null }

export class Registry {
  readonly #connections = new Map<string, Connection>()
  readonly #byUser = new Few<UserId, Connection>()
  /** Ends of connections that are still being written to the store. */
  readonly #leaving = new Map<string, Promise<void>>()
  readonly #detached = new Map<ClientId, InboxSession>()
  readonly all = new Set<Connection>()
  /** The last ended logins, and how many there were ever. */
  readonly #ended: EndedLogin[] = []
  endings = 0

  find(clientId: string): Connection | undefined {
    return this.#connections.get(clientId)
  }

  add(connection: Connection, clientId: string, uid: UserId | null): void {
    this.#connections.set(clientId, connection)
    if (uid !== null) this.#byUser.add(uid, connection)
  }

  remove(connection: Connection, clientId: string, uid: UserId | null): void {
    if (this.#connections.get(clientId) === connection) this.#connections.delete(clientId)
    if (uid !== null) this.#byUser.delete(uid, connection)
  }

  /** A connection is gone, and `left` settles when its session is in the store. */
  leaves(clientId: string, left: Promise<void>): void {
    this.#leaving.set(clientId, left)
    void left.finally(() => {
      if (this.#leaving.get(clientId) === left) this.#leaving.delete(clientId)
    })
  }

  /** Resolves when nothing of an earlier connection of this client is on its way to the store. */
  async untilLeft(clientId: string): Promise<void> {
    await this.#leaving.get(clientId)
  }

  eachOfUser(uid: UserId, visit: (connection: Connection) => void): void {
    this.#byUser.each(uid, visit)
  }

  /** Ends the connections of a login, of a whole device when `sid` is null, or of the user when `device` is. */
  endLogin(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.endings++
    this.#ended.push({ uid, device, sid })
    if (this.#ended.length > ENDED_MAX) this.#ended.shift()
    this.eachOfUser(uid, (connection) => connection.loginEnded(device, sid))
  }

  /** Whether a login ended after `endings` was read: a connection that was being opened then is in no list yet. */
  endedSince(endings: number, uid: UserId, device: DeviceId, sid: string | null): boolean {
    const count = Math.min(this.endings - endings, this.#ended.length)
    return this.#ended
      .slice(this.#ended.length - count)
      .some(
        (e) =>
          e.uid === uid && (e.device === null || e.device === device) && (e.sid === null || e.sid === sid),
      )
  }

  /** Keeps a session whose connection is gone and which has unacknowledged entries. */
  detach(clientId: ClientId, session: InboxSession): void {
    this.#detached.delete(clientId)
    this.#detached.set(clientId, session)
    if (this.#detached.size <= DETACHED_MAX) return
    for (const oldest of this.#detached.keys()) {
      this.#detached.delete(oldest)
      break
    }
  }

  /** Takes a kept session back; undefined when there is none. */
  reattach(clientId: ClientId): InboxSession | undefined {
    const session = this.#detached.get(clientId)
    this.#detached.delete(clientId)
    return session
  }
}
