/** Retained messages for a new subscription, read as fast as the client takes them. */
import type { Qos } from '../gate/codec/constants.ts'
import type { Outgoing } from './outgoing.ts'
import type { AnyPacket, RoutedPacket } from './packet.ts'
import type { RoutingPersistence } from './persistence.ts'
import type { Router } from './router.ts'
import type { Match, StoredSubscription } from './session-index.ts'
import { mayUseTopic } from './topic-wall.ts'

/** Messages handed to the store at a time for a persistent session. */
const BATCH_MESSAGES = 50
/** How often a reader looks whether its client has taken what waits for it in memory. */
const RETRY_MS = 20

type Parts = {
  clientId: string
  persistence: RoutingPersistence
  router: Router
  outgoing: Outgoing
  /** Messages of QoS 1 and 2 go through the session's queue, so that they survive the connection. */
  isDurable: boolean
  isClosed: () => boolean
}

export class RetainedReader {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async send({ filter, qos: granted, identifier }: StoredSubscription): Promise<void> {
    const { clientId, persistence, isClosed } = this.#parts
    let storing: Promise<void>[] = []
    for await (const stored of persistence.retained(filter)) {
      if (isClosed()) return
      const packet = asRouted(stored)
      if (!mayUseTopic(clientId, packet.topic) || isExpired(packet)) continue
      const qos = Math.min(granted, packet.qos) as Qos
      // The retain flag says that this is not news [MQTT-3.3.1-8].
      const match: Match = { qos, retain: true, identifiers: identifier === undefined ? [] : [identifier] }
      if (qos > 0 && this.#parts.isDurable) storing.push(this.#enqueue(packet, match))
      else await this.#offer(packet, match)
      if (storing.length < BATCH_MESSAGES) continue
      await Promise.all(storing)
      storing = []
    }
    await Promise.all(storing)
  }

  async #offer(packet: RoutedPacket, match: Match): Promise<void> {
    const { outgoing, isClosed } = this.#parts
    while (outgoing.isFull && !isClosed()) await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    outgoing.offer(packet, match)
  }

  #enqueue(packet: RoutedPacket, match: Match): Promise<void> {
    const { router, clientId } = this.#parts
    return router.enqueue(packet, clientId, match)
  }
}

function asRouted(packet: AnyPacket): RoutedPacket {
  return { ...(packet as RoutedPacket), payload: Buffer.from(packet.payload) }
}

function isExpired({ messageExpiry }: RoutedPacket): boolean {
  return messageExpiry !== undefined && messageExpiry <= Date.now()
}
