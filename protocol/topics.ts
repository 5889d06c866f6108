/**
 * The topics of the wire contract, built and read in this one place.
 *
 * ```
 * u/{uid}/send               device -> server   QoS 1   a message; PUBACK = committed
 * u/{uid}/call/{operation}   device -> server   QoS 1   an operation of the catalogue
 * u/{uid}/signal             device -> server   QoS 0   transient: typing, foreground, background
 * u/{uid}/inbox              server -> device   QoS 1   log entries, in order per log
 * u/{uid}/reply/{deviceId}   server -> device   QoS 1   answers of this connection
 * u/{uid}/live               server -> device   QoS 0   transient: typing, presence, receipts, messages that are not kept
 * u/{uid}/own/#              the user's devices         the user's own space, plain MQTT
 * ```
 */
import type { DeviceId, UserId } from './ids.ts'

export const sendTopic = (uid: UserId): string => `u/${uid}/send`
export const callTopicPrefix = (uid: UserId): string => `u/${uid}/call/`
export const callTopic = (uid: UserId, operation: string): string => `u/${uid}/call/${operation}`
export const signalTopic = (uid: UserId): string => `u/${uid}/signal`
export const inboxTopic = (uid: UserId): string => `u/${uid}/inbox`
export const replyTopic = (uid: UserId, deviceId: DeviceId): string => `u/${uid}/reply/${deviceId}`
export const liveTopic = (uid: UserId): string => `u/${uid}/live`
/** Every topic of the user's own space starts with this; the space itself is plain MQTT. */
export const ownTopicPrefix = (uid: UserId): string => `u/${uid}/own/`

/** Topics under this first level belong to the contract; no grant and no open profile reaches them. */
export const CONTRACT_ROOT = 'u'

/** Whether a topic name or filter lies in the part of the tree that only the contract may grant. */
export function isContractTopic(topicOrFilter: string): boolean {
  return topicOrFilter === CONTRACT_ROOT || topicOrFilter.startsWith('u/')
}
