/**
 * Plain MQTT in the store: retained messages, subscriptions of persistent sessions, what waits for them, half-open
 * QoS 2 and wills. A message that waits for many sessions is stored once, and each session holds a reference to it.
 *
 * Packets are opaque here: `head` is the part of a message that only the engine reads (its MQTT 5 properties).
 */

/** Granted with a subscription; a missing field was not said. */
export type PlainSubscription = {
  filter: string
  qos: 0 | 1 | 2
  /** Retain Handling, MQTT 5 section 3.8.3.1. */
  rh?: number | undefined
  /** Retain As Published. */
  rap?: boolean | undefined
  /** No Local. */
  nl?: boolean | undefined
  /** Subscription Identifier. */
  identifier?: number | undefined
}

export type PlainMessage = {
  topic: string
  payload: Uint8Array | string
  head: string
  /** Who numbered it and how; unique. */
  origin: string
  /** ms since 1970; after it the message is not delivered any more. */
  expiresAt: number | null
}

/** One session that a message is to wait for. */
export type PlainTarget = {
  clientId: string
  qos: 0 | 1 | 2
  retain: boolean
  /** Subscription Identifiers to deliver it with. */
  identifiers: readonly number[]
  /** Set when it is sent as soon as it is stored. */
  packetId: number | null
}

/** Nothing waits in a session that is not there, or that has as much as it may. */
export type PlainRefusal = { clientId: string; reason: 'unknown' | 'full' }

export type PlainDelivery = PlainMessage & {
  /** Number of the message: the order of delivery, and its name within a session. */
  message: number
  /** Before it was handed out now. `sent`: may have reached the client. `released`: the client has it, and the PUBREL is due. */
  state: 'queued' | 'sent' | 'released'
  packetId: number | null
  qos: 0 | 1 | 2
  retain: boolean
  identifiers: readonly number[]
}

export type PlainWill = { clientId: string; will: string; publishAt: number | null }

export interface PlainStore {
  /**
   * Takes a message, in one commit: makes it the retained one of its topic (or clears that), lets it wait for the
   * targets, and notes the receipt of a QoS 2 PUBLISH. `message` is 0 when it waits for nobody.
   */
  publishPlain(input: {
    message: PlainMessage
    retained: 'keep' | 'clear' | null
    targets: readonly PlainTarget[]
    receipt: { clientId: string; packetId: number } | null
    queuedMax: number
  }): Promise<{ message: number; refused: PlainRefusal[] }>

  // -------------------------------------------------------------- sessions
  subscribePlain(input: { clientId: string; subscriptions: readonly PlainSubscription[] }): Promise<void>
  /** A session without a subscription stays until it is ended, with what waits for it. */
  unsubscribePlain(input: { clientId: string; filters: readonly string[] }): Promise<void>
  /** All sessions with their subscriptions, by pages, in the order of client ids. */
  pagePlainSessions(input: {
    after: string
    entriesMax: number
  }): Promise<{ clientId: string; subscriptions: PlainSubscription[] }[]>
  /**
   * A device connects: makes its session if it is `persistent`, and tells what one that comes back has open, namely
   * half-open QoS 2 of the client and packet ids of ours.
   */
  resumePlain(input: {
    clientId: string
    persistent: boolean
  }): Promise<{ receipts: number[]; packetIds: number[]; waiting: boolean }>
  /** Ends what a device's session holds on the plain side: its subscriptions, queue and half-open QoS 2. */
  endPlainSession(clientId: string): Promise<void>

  // -------------------------------------------------------------- what waits for a session
  /**
   * The next messages for a session after a number, in order. Those that were sent before keep their packet id, the
   * others take the given ones. `packetIds` null: only looks. Fewer than asked means that there are no more, unless
   * `full` says that `bytesMax` was reached (one is always given).
   */
  takePlain(input: {
    clientId: string
    after: number
    packetIds: readonly number[] | null
    entriesMax: number
    bytesMax: number
  }): Promise<{ deliveries: PlainDelivery[]; full: boolean }>
  /** Gives a waiting message, named by its origin, a packet id; false when it does not wait. */
  markPlainSent(input: { clientId: string; origin: string; packetId: number }): Promise<boolean>
  /** The client has a QoS 2 message (PUBREC): from now on only the PUBREL is repeated. False for an unknown id. */
  releasePlain(input: { clientId: string; packetId: number }): Promise<boolean>
  findPlainSent(input: { clientId: string; packetId: number }): Promise<PlainDelivery | null>
  /** These were delivered, and wait no longer. */
  settlePlain(input: readonly { clientId: string; message: number }[]): Promise<void>

  // -------------------------------------------------------------- QoS 2 from the client
  keepPlainReceipt(input: { clientId: string; packetId: number; packet: string }): Promise<void>
  findPlainReceipt(input: { clientId: string; packetId: number }): Promise<string | null>
  /** False for an unknown id. */
  dropPlainReceipt(input: { clientId: string; packetId: number }): Promise<boolean>

  // -------------------------------------------------------------- retained messages
  pagePlainTopics(input: { after: string | null; entriesMax: number }): Promise<string[]>
  plainRetained(input: { topics: readonly string[] }): Promise<PlainMessage[]>

  // -------------------------------------------------------------- wills
  /** `publishAt` null: the client is connected. */
  keepPlainWill(will: PlainWill): Promise<void>
  findPlainWill(clientId: string): Promise<PlainWill | null>
  dropPlainWill(clientId: string): Promise<void>
  pagePlainWills(input: { after: string; entriesMax: number }): Promise<PlainWill[]>
}
