/**
 * Brings what is live to devices: those of this node at once, those of others over the bus. Every event is serialised
 * once. Nothing is kept or tried again, and a device that does not keep up misses some.
 */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { LiveEvent } from '../../protocol/reply.ts'
import type { LiveListener } from '../../services/presence/ports.ts'
import type { Bus } from '../cluster/bus.ts'
import { type Except, encodeLiveFrame, readLiveFrame } from './live-frame.ts'
import type { LiveRooms } from './live-rooms.ts'

/** The connections of this node. */
export interface LiveAudience {
  eachOfUser(uid: UserId, visit: (listener: LiveListener) => void): void
  /** Those whose inbox hears of a group here. */
  membersOf(group: LogId): ReadonlySet<UserId>
}

export class LiveDelivery {
  readonly #here: LiveAudience
  readonly #bus: Pick<Bus, 'signal'>
  readonly #rooms: LiveRooms

  constructor(here: LiveAudience, bus: Pick<Bus, 'signal'>, rooms: LiveRooms) {
    this.#here = here
    this.#bus = bus
    this.#rooms = rooms
  }

  /** To the devices of a person. */
  toUser(uid: UserId, event: LiveEvent, except: Except | null = null): void {
    const payload = encode(event)
    this.#toUserHere(uid, payload, except)
    this.#bus.signal({ uid }, encodeLiveFrame({ kind: 'user', uid, except, payload }))
  }

  /** To those devices of a person that are connected to other nodes. */
  toUserElsewhere(uid: UserId, event: LiveEvent): void {
    const frame = { kind: 'user', uid, except: null, payload: encode(event) } as const
    this.#bus.signal({ uid }, encodeLiveFrame(frame))
  }

  /** To those devices of a person that are connected here. */
  toUserHere(uid: UserId, event: LiveEvent): void {
    this.#toUserHere(uid, encode(event), null)
  }

  /** To the members of a group whose inbox is subscribed, or to those who are in a room. */
  toGroup(group: LogId, event: LiveEvent, except: Except | null): void {
    const payload = encode(event)
    this.#toGroupHere(group, payload, except)
    this.#bus.signal({ group }, encodeLiveFrame({ kind: 'group', group, except, payload }))
  }

  /** Whether a device has a seat in a room by a connection to this node. */
  isSeated(room: LogId, uid: UserId, device: DeviceId | null): boolean {
    const seated = this.#rooms.listenersOf(room)
    let found = false
    this.#here.eachOfUser(uid, (listener) => {
      found ||= listener.device === device && seated.has(listener)
    })
    return found
  }

  /** Ends the seats of a person in a room, on all nodes. */
  unseat(uid: UserId, room: LogId): void {
    this.#unseatHere(uid, room)
    this.#bus.signal({ group: room }, encodeLiveFrame({ kind: 'unseated', group: room, uid }))
  }

  #unseatHere(uid: UserId, room: LogId): void {
    this.#here.eachOfUser(uid, (listener) => this.#rooms.leave(listener, room))
  }

  /** Whether somebody here would get what is sent to a person. */
  isListening(uid: UserId): boolean {
    let found = false
    this.#here.eachOfUser(uid, (listener) => {
      found ||= listener.takesLive
    })
    return found
  }

  /** What another node handed to the bus. */
  received(bytes: Buffer): void {
    const frame = readLiveFrame(bytes)
    if (frame === null) return
    if (frame.kind === 'unseated') this.#unseatHere(frame.uid, frame.group)
    else if (frame.kind === 'user') this.#toUserHere(frame.uid, frame.payload, frame.except)
    else this.#toGroupHere(frame.group, frame.payload, frame.except)
  }

  #toUserHere(uid: UserId, payload: Buffer, except: Except | null): void {
    this.#here.eachOfUser(uid, (listener) => {
      if (!isExcepted(listener, except)) listener.sendLive(payload)
    })
  }

  #toGroupHere(group: LogId, payload: Buffer, except: Except | null): void {
    const members = this.#here.membersOf(group)
    for (const uid of members) this.#toUserHere(uid, payload, except)
    for (const listener of this.#rooms.listenersOf(group)) {
      if (!isExcepted(listener, except) && !members.has(listener.uid)) listener.sendLive(payload)
    }
  }
}

function encode(event: LiveEvent): Buffer {
  return Buffer.from(JSON.stringify(event))
}

function isExcepted({ uid, device }: LiveListener, except: Except | null): boolean {
  return except !== null && except.uid === uid && (except.device === null || except.device === device)
}
