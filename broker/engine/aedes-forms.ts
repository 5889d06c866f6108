/** What Aedes's persistence interface hands over and gets back, and what it is in the store. */
import type { PlainDelivery } from '../../services/store/plain.ts'
import type { Qos } from '../gate/codec/constants.ts'
import { type AnyPacket, decodeFields, toPayload } from './packet.ts'
import type { StoredSubscription } from './session-index.ts'

export type AedesSubscription = {
  topic: string
  qos: Qos
  rh?: number
  rap?: boolean
  nl?: boolean
  subscriptionIdentifier?: number
}

export type AedesWill = AnyPacket & { clientId?: string }

export function fromAedes({ topic, qos, rh, rap, nl, subscriptionIdentifier }: AedesSubscription) {
  return { filter: topic, qos, rh, rap, nl, identifier: subscriptionIdentifier }
}

export function toAedes({ filter, qos, rh, rap, nl, identifier }: StoredSubscription): AedesSubscription {
  return {
    topic: filter,
    qos,
    ...(rh !== undefined && { rh }),
    ...(rap !== undefined && { rap }),
    ...(nl !== undefined && { nl }),
    ...(identifier !== undefined && { subscriptionIdentifier: identifier }),
  }
}

/** As Aedes enqueued it; of one that the client has released only the PUBREL is left. */
export function toQueuedPacket(delivery: PlainDelivery): object {
  const { state, packetId, topic, payload, head } = delivery
  const messageId = packetId ?? undefined
  if (state === 'released') return { cmd: 'pubrel', messageId }
  const { length: _, ...fields } = decodeFields<{ length?: number }>(head)
  return { qos: 0, retain: false, dup: false, ...fields, topic, payload: toPayload(payload), messageId }
}
