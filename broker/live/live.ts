/** Everything that is live on a node: typing, presence, receipts, messages that are not kept, rooms without entries. */
import { type DeviceId, type LogId, logKind, peopleOf, type UserId } from '../../protocol/ids.ts'
import type { Target } from '../../protocol/send.ts'
import type { TransientMessage, TransientSender } from '../../services/messages/ports.ts'
import type { LiveListener, LiveRoomSeats } from '../../services/presence/ports.ts'
import type { Presence } from '../../services/presence/presence.ts'
import type { LiveDelivery } from './live-delivery.ts'
import type { KnownRights } from './live-rights.ts'
import type { LiveRooms } from './live-rooms.ts'
import type { Receipts } from './receipts.ts'

type LiveParts = {
  presence: Presence
  delivery: LiveDelivery
  rooms: LiveRooms
  receipts: Receipts
  rights: KnownRights
  /** Members of the largest group in which somebody is told to be typing. */
  typingMembersMax: number
  /** Something live was not told, because the store could not be asked. */
  onError: (error: unknown) => void
}

export class Live implements TransientSender, LiveRoomSeats {
  readonly presence: Presence
  readonly delivery: LiveDelivery
  readonly rooms: LiveRooms
  readonly receipts: Receipts
  readonly #parts: LiveParts

  constructor(parts: LiveParts) {
    this.#parts = parts
    this.presence = parts.presence
    this.delivery = parts.delivery
    this.rooms = parts.rooms
    this.receipts = parts.receipts
  }

  connected(listener: LiveListener): void {
    this.presence.connected(listener.uid)
  }

  disconnected(listener: LiveListener, isForeground: boolean): void {
    this.rooms.end(listener)
    this.presence.disconnected(listener, isForeground)
  }

  join(listener: LiveListener, room: LogId, until: number): Promise<void> {
    return this.rooms.join(listener, room, until)
  }

  leave(listener: LiveListener, room: LogId): void {
    this.rooms.leave(listener, room)
  }

  unseat(uid: UserId, room: LogId): void {
    this.delivery.unseat(uid, room)
  }

  /** Tells those who may read it; where the sender may not write, nobody. */
  typing(from: LiveListener, target: Target): void {
    this.#tellTyping(from, target).catch(this.#parts.onError)
  }

  isSeated(room: LogId, uid: UserId, device: DeviceId | null): boolean {
    return this.delivery.isSeated(room, uid, device)
  }

  sendTransient(message: TransientMessage): void {
    const { log, from, device, id, at, type, bodyJson } = message
    const event = {
      kind: 'message',
      transient: true,
      log,
      at,
      from,
      ...(device !== null && { device }),
      ...(id !== null && { id }),
      type,
      body: JSON.parse(bodyJson) as unknown,
    } as const
    const except = device === null ? null : { uid: from, device }
    if (logKind(log) === 'group') this.delivery.toGroup(log, event, except)
    for (const uid of peopleOf(log)) this.delivery.toUser(uid, event, except)
  }

  async #tellTyping({ uid }: LiveListener, { log, peer }: Target): Promise<void> {
    const { mayWrite, members } = await this.#parts.rights.find(uid, log)
    if (!mayWrite || members > this.#parts.typingMembersMax) return
    const event = { kind: 'typing', from: uid, log } as const
    if (peer !== null) this.delivery.toUser(peer, event)
    else this.delivery.toGroup(log, event, { uid, device: null })
  }
}
