/** Rows of plain MQTT and what they stand for. */
import { createHash } from 'node:crypto'
import type { PlainMessage, PlainSubscription } from '../plain.ts'

export type SubscriptionRow = {
  filter: string
  qos: 0 | 1 | 2
  rh: number | null
  rap: boolean | null
  nl: boolean | null
  identifier: number | null
}

export type MessageRow = {
  topic: string
  payload: Buffer
  /** The payload was handed in as text. */
  is_text: boolean
  head: string
  origin: string
  expires_at: number | null
}

export function readSubscription(row: SubscriptionRow): PlainSubscription {
  return {
    filter: row.filter,
    qos: row.qos,
    rh: row.rh ?? undefined,
    rap: row.rap ?? undefined,
    nl: row.nl ?? undefined,
    identifier: row.identifier ?? undefined,
  }
}

export function readMessage(row: MessageRow): PlainMessage {
  return {
    topic: row.topic,
    payload: row.is_text ? row.payload.toString() : row.payload,
    head: row.head,
    origin: row.origin,
    expiresAt: row.expires_at,
  }
}

/** As a parameter of type bytea. */
export function payloadBytes(payload: Uint8Array | string): Buffer {
  if (typeof payload === 'string') return Buffer.from(payload)
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}

/** What a topic or a filter is found by. */
export function textHash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
