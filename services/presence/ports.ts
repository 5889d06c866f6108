/** What presence needs of the broker: the connections of this node, and what other nodes say. */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'

/**
 * `online`: somebody looks at a device. `away`: all connected devices are in the background. `gone`: no device is
 * connected, or not to the node that says so.
 */
export const PRESENCE_STATES = ['online', 'away', 'gone'] as const
export type NodePresence = (typeof PRESENCE_STATES)[number]

/** What one node says of a person. */
export type PresencePart = {
  node: string
  state: NodePresence
  /** Since when, ms since 1970. */
  at: number
  /** Of two things that a node says of a person, the one with the higher number is the later one. */
  n: number
}

/** What the nodes of a cluster tell each other of who is there. Nothing of it is on disk; a node that dies takes its parts along. */
export interface PresenceBoard {
  /** What this node says of a person from now on. Never throws. */
  put(uid: UserId, state: NodePresence, at: number): void
  /** The parts of the other nodes that live, in the order asked; none where the board cannot be read now. */
  read(uids: readonly UserId[]): Promise<PresencePart[][]>
  /** The same, and this node hears of changes of these people until {@link unfollow}. */
  follow(uids: readonly UserId[]): Promise<PresencePart[][]>
  unfollow(uids: readonly UserId[]): void
}

/** Rooms that keep no entries, as the connections of this node are in them. */
export interface LiveRoomSeats {
  /** Resolves when messages to the room reach the listener, until a time in ms. Again: renews it. Refuses `too_many_watches`. */
  join(listener: LiveListener, room: LogId, until: number): Promise<void>
  /** Done twice it changes nothing. */
  leave(listener: LiveListener, room: LogId): void
  /** Ends the seats of a person, on whatever nodes their connections are. */
  unseat(uid: UserId, room: LogId): void
}

/** A connection of a device that takes what is live. */
export interface LiveListener {
  readonly uid: UserId
  readonly device: DeviceId
  /** Its end was not reported yet. */
  readonly isOpen: boolean
  /** The live topic is subscribed. */
  readonly takesLive: boolean
  /** Writes a payload on the live topic, if that is subscribed and the device keeps up. `payload` is not changed afterwards. */
  sendLive(payload: Buffer): void
}
