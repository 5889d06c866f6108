/** SUBSCRIBE and UNSUBSCRIBE of one connection: the chat topics here, plain filters through the engine. */
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import { inboxTopic, liveTopic, replyTopic } from '../../protocol/topics.ts'
import type { SessionSubscriptions, Store } from '../../services/store/contract.ts'
import type { InboxWire } from '../inbox/inbox-wire.ts'
import { ReasonCode, SUBACK_FAILURE_311 } from './codec/constants.ts'
import { decodeSubscribe, decodeUnsubscribe, type Subscription } from './codec/decode.ts'
import { encodeSuback, encodeUnsuback } from './codec/encode.ts'
import { ProtocolViolation } from './codec/violation.ts'
import type { ConnectionState } from './connection-state.ts'
import type { Identity } from './identity.ts'
import type { ReplySide } from './reply-side.ts'
import { maySubscribe } from './topic-rights.ts'

/** The connection, as its subscriptions need it; the inbox is sent over it. */
export type SubscribingConnection = InboxWire & {
  readonly uid: UserId
  readonly device: DeviceId
  readonly state: ConnectionState
  readonly identity: Pick<Identity, 'token' | 'acl' | 'session' | 'plain'>
  readonly replies: Pick<ReplySide, 'qos'>
  readonly services: { readonly store: Pick<Store, 'saveSubscriptions'> }
}

export class SubscribeSide {
  readonly #connection: SubscribingConnection
  subscriptions: SessionSubscriptions = { inbox: null, reply: false, live: false }
  /** SUBSCRIBEs and UNSUBSCRIBEs take effect one after the other. */
  #turn: Promise<void> = Promise.resolve()

  constructor(connection: SubscribingConnection) {
    this.#connection = connection
  }

  /** Goes on with the subscriptions of a session that was resumed. */
  restore(subscriptions: SessionSubscriptions): void {
    this.subscriptions = subscriptions
    if (subscriptions.reply) this.#connection.replies.qos = 1
    const { inbox } = subscriptions
    if (inbox !== null) this.#inTurn(() => this.#connection.identity.session.start(this.#connection, inbox))
  }

  onSubscribe(buffer: Buffer, start: number, end: number): void {
    const packet = decodeSubscribe(buffer, start, end, this.#connection.version)
    if (packet.properties?.subscriptionIdentifier !== undefined) {
      throw new ProtocolViolation(
        ReasonCode.subscriptionIdentifiersNotSupported,
        'not available, as the CONNACK says',
      )
    }
    this.#inTurn(async () => {
      const before = this.subscriptions
      const codes = await Promise.all(packet.filters.map((subscription) => this.#subscribe(subscription)))
      const { identity, version, outbox } = this.#connection
      const suback = () => outbox.raw(encodeSuback(version, packet.packetId, codes))
      const { inbox } = this.subscriptions
      // The start of the inbox is in the store before the SUBACK.
      const saved = this.#save(before)
      if (inbox === null || before.inbox !== null) {
        await saved
        suback()
      } else {
        await Promise.all([saved, identity.session.start(this.#connection, inbox, suback)])
      }
    })
  }

  onUnsubscribe(buffer: Buffer, start: number, end: number): void {
    const packet = decodeUnsubscribe(buffer, start, end, this.#connection.version)
    this.#inTurn(async () => {
      const before = this.subscriptions
      const codes = await Promise.all(packet.filters.map((filter) => this.#unsubscribe(filter)))
      await this.#save(before)
      this.#connection.outbox.raw(encodeUnsuback(this.#connection.version, packet.packetId, codes))
    })
  }

  #inTurn(step: () => Promise<void>): void {
    this.#turn = this.#turn
      .then(() => (this.#connection.state === 'open' ? step() : undefined))
      .catch((error: unknown) => this.#connection.failed(error))
  }

  async #subscribe(subscription: Subscription): Promise<number> {
    const { uid, device, identity, version } = this.#connection
    const { filter, qos } = subscription
    const denied = version === 5 ? ReasonCode.notAuthorized : SUBACK_FAILURE_311
    if (subscription.shared !== undefined) {
      return version === 5 ? ReasonCode.sharedSubscriptionsNotSupported : SUBACK_FAILURE_311
    }
    if (identity.token !== null) {
      // QoS 2 is granted as 1.
      const granted = Math.min(qos, 1) as 0 | 1
      if (filter === inboxTopic(uid)) {
        this.subscriptions = { ...this.subscriptions, inbox: granted }
        return granted
      }
      if (filter === replyTopic(uid, device)) {
        this.subscriptions = { ...this.subscriptions, reply: true }
        this.#connection.replies.qos = granted
        return granted
      }
      if (filter === liveTopic(uid)) {
        this.subscriptions = { ...this.subscriptions, live: true }
        return 0
      }
    }
    if (!maySubscribe(identity.token === null ? null : uid, identity.acl, filter)) return denied
    return identity.plain.subscribe(subscription)
  }

  async #unsubscribe(filter: string): Promise<number> {
    const { uid, device, identity, replies } = this.#connection
    const { inbox, reply, live } = this.subscriptions
    if (identity.token !== null && filter === inboxTopic(uid)) {
      identity.session.stop(this.#connection.now())
      this.subscriptions = { ...this.subscriptions, inbox: null }
      return inbox === null ? ReasonCode.noSubscriptionExisted : ReasonCode.success
    }
    if (identity.token !== null && filter === replyTopic(uid, device)) {
      replies.qos = null
      this.subscriptions = { ...this.subscriptions, reply: false }
      return reply ? ReasonCode.success : ReasonCode.noSubscriptionExisted
    }
    if (identity.token !== null && filter === liveTopic(uid)) {
      this.subscriptions = { ...this.subscriptions, live: false }
      return live ? ReasonCode.success : ReasonCode.noSubscriptionExisted
    }
    return identity.plain.unsubscribe(filter)
  }

  async #save(before: SessionSubscriptions): Promise<void> {
    const { session } = this.#connection.identity
    const { inbox, reply, live } = this.subscriptions
    if (session.number === null) return
    if (inbox === before.inbox && reply === before.reply && live === before.live) return
    await this.#connection.services.store.saveSubscriptions({
      session: session.number,
      generation: session.generation,
      subscriptions: this.subscriptions,
    })
  }
}
