/** What the engine tells the gate of one connection. Every call returns at once and must not throw. */
import type { Qos } from '../gate/codec/constants.ts'
import type { DeliveryProperties } from '../gate/codec/properties.ts'

/** A PUBLISH for the client. `packetId` is 1 to 32,767, and 0 at QoS 0. */
export type EngineDelivery = {
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  dup: boolean
  packetId: number
  /** Of the publisher; to be left out on 3.1.1. */
  properties: DeliveryProperties | null
}

/**
 * Why the engine gives a connection up: it does not take what it subscribed; it sends more than it waits for; the
 * store failed; the engine failed; the same client attached again.
 */
export type EngineClosedReason = 'slow' | 'overload' | 'store' | 'engine' | 'takenOver'

export interface EngineSink {
  deliver(delivery: EngineDelivery): void
  /** For a QoS 2 message of ours. `reason` is 0, or 0x92 for an id that is not in use. */
  pubrel(packetId: number, reason: number): void
  /** For a QoS 2 message of the client. */
  pubcomp(packetId: number, reason: number): void
  /** How many messages of QoS 1 and 2 may follow now, beyond {@link EngineLink.inflight}. */
  room(): number
  /** The socket takes no more at the moment; `pump` of the link follows when it does. */
  isBlocked(): boolean
  /** The connection must be cut; nothing follows. */
  closed(reason: EngineClosedReason): void
}
