/**
 * Plain MQTT in the store: retained messages, subscriptions of persistent sessions, what waits for them, half-open
 * QoS 2 and wills. A message that waits for many sessions is stored once, and each session holds a reference to it.
 *
 * Packets are opaque here: `head` is the part of a message that only the engine reads (its MQTT 5 properties).
 *
 * A store that several nodes share keeps two things more, so that no node works on what another one has changed.
 * Every change of a session's subscriptions and of the set of retained topics has a version ({@link PlainStep}); and
 * a session has a generation, raised by each connection that resumes it: calls of an older one do nothing. docs/adr/0006-plain-topics-in-a-cluster.md has the argument.
 */

/** Versions before and after a commit; the same when it changed nothing that an index follows. */
export type PlainStep = { from: number; to: number }

export const NO_STEP: PlainStep = { from: 0, to: 0 }

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
  /** Of the connection that would send it; null: it is known that nothing waits before it, as the caller is alone. */
  generation: number | null
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

/** What a PUBLISH, or the end of a connection with a will, writes. */
export type PlainPublication = {
  message: PlainMessage
  retained: 'keep' | 'clear' | null
  targets: readonly PlainTarget[]
  /** Of a QoS 2 PUBLISH. */
  receipt: { clientId: string; generation: number | null; packetId: number } | null
  /** The will that this is: taken only if it is still there, and gone with the commit. */
  will: { clientId: string; will: string } | null
}

export type PlainOutcome = {
  /** False: its will was published or cancelled, or its receipt belongs to a newer connection. Nothing was written. */
  taken: boolean
  /** 0 when it waits for nobody. */
  message: number
  /** Left out when there are none, and so is the next: this crosses to the store's thread with each message. */
  refused?: PlainRefusal[]
  /** Sessions in which it waits although a packet id was given: something waits before it, or the connection is not the newest. */
  unsent?: string[]
}

/** What an index must know of changes since a version, as it is now. */
export type PlainChanges = {
  /** Null: the session is gone. */
  sessions: { clientId: string; subscriptions: PlainSubscription[] | null }[]
  topics: { topic: string; isRetained: boolean }[]
}

/** `will` names it, too: no two wills have the same text. */
export type PlainWill = { clientId: string; will: string; publishAt: number | null }

export interface PlainStore {
  /**
   * Takes messages, in one commit and in their order: makes each the retained one of its topic (or clears that), lets
   * it wait for its targets, and notes the receipt of a QoS 2 PUBLISH. `stale`: nothing was written, because the
   * targets were chosen at a version (`known`, null to skip this) that is not the newest. `step` is null when nothing
   * changed that an index follows.
   */
  publishPlain(input: {
    publications: readonly PlainPublication[]
    known: number | null
    queuedMax: number
  }): Promise<{ stale: true } | { stale: false; outcomes: PlainOutcome[]; step: PlainStep | null }>

  // -------------------------------------------------------------- changes
  /** The newest version. */
  plainVersion(): Promise<number>
  /**
   * What has changed since a version, in pages: call again with `version` until `isLast`. `tooOld`: that is not known
   * any more, and everything must be read again.
   */
  plainChanges(input: {
    since: number
    rowsMax: number
  }): Promise<{ tooOld: boolean; changes: PlainChanges; version: number; isLast: boolean }>

  // -------------------------------------------------------------- sessions
  /** Null: a newer connection has the session. `generation` null is not checked, here and below. */
  subscribePlain(input: {
    clientId: string
    generation: number | null
    subscriptions: readonly PlainSubscription[]
  }): Promise<PlainStep | null>
  /** A session without a subscription stays until it is ended, with what waits for it. */
  unsubscribePlain(input: {
    clientId: string
    generation: number | null
    filters: readonly string[]
  }): Promise<PlainStep | null>
  /** All sessions with their subscriptions, by pages, in the order of client ids. */
  pagePlainSessions(input: {
    after: string
    entriesMax: number
  }): Promise<{ clientId: string; subscriptions: PlainSubscription[] }[]>
  /**
   * A device connects: makes its session if it is `persistent`, and tells what one that comes back has open, namely
   * half-open QoS 2 of the client and packet ids of ours. `generation` is null without a session.
   */
  resumePlain(input: { clientId: string; persistent: boolean }): Promise<{
    generation: number | null
    receipts: number[]
    packetIds: number[]
    waiting: boolean
  }>
  /** Ends what a device's session holds on the plain side: its subscriptions, queue, half-open QoS 2 and a will's delay. */
  endPlainSession(input: { clientId: string; generation: number | null }): Promise<PlainStep>

  // -------------------------------------------------------------- what waits for a session
  /**
   * The next messages for a session after a number, in order. Those that were sent before keep their packet id, the
   * others take the given ones. `packetIds` null: only looks. Fewer than asked means that there are no more, unless
   * `full` says that `bytesMax` was reached (one is always given). Not `isHeld`: a newer connection has the session.
   */
  takePlain(input: {
    clientId: string
    generation: number | null
    after: number
    packetIds: readonly number[] | null
    entriesMax: number
    bytesMax: number
  }): Promise<{ deliveries: PlainDelivery[]; full: boolean; isHeld: boolean }>
  /** Gives a waiting message, named by its origin, a packet id; false when it does not wait. */
  markPlainSent(input: { clientId: string; origin: string; packetId: number }): Promise<boolean>
  /** The client has a QoS 2 message (PUBREC): from now on only the PUBREL is repeated. False for an unknown id. */
  releasePlain(input: { clientId: string; generation: number | null; packetId: number }): Promise<boolean>
  findPlainSent(input: { clientId: string; packetId: number }): Promise<PlainDelivery | null>
  /** These were delivered, and wait no longer. */
  settlePlain(
    input: readonly { clientId: string; generation: number | null; message: number }[],
  ): Promise<void>

  // -------------------------------------------------------------- QoS 2 from the client
  keepPlainReceipt(input: { clientId: string; packetId: number; packet: string }): Promise<void>
  findPlainReceipt(input: { clientId: string; packetId: number }): Promise<string | null>
  /** False for an unknown id. */
  dropPlainReceipt(input: { clientId: string; generation: number | null; packetId: number }): Promise<boolean>

  // -------------------------------------------------------------- retained messages
  pagePlainTopics(input: { after: string | null; entriesMax: number }): Promise<string[]>
  plainRetained(input: { topics: readonly string[] }): Promise<PlainMessage[]>

  // -------------------------------------------------------------- wills
  /**
   * Of a client that is connected to the node `holder`; replaces an earlier one. `delayMs` runs when it is not any
   * more.
   */
  keepPlainWill(input: { clientId: string; will: string; delayMs: number; holder: string }): Promise<void>
  /** The delay runs until `publishAt`; nothing if the will is not there any more. */
  delayPlainWill(input: { clientId: string; will: string; publishAt: number }): Promise<void>
  findPlainWill(clientId: string): Promise<PlainWill | null>
  /** `will` null: whichever there is. */
  dropPlainWill(input: { clientId: string; will: string | null }): Promise<void>
  pagePlainWills(input: { after: string; entriesMax: number }): Promise<PlainWill[]>
  /** Nodes that hold wills of connected clients. */
  plainWillHolders(): Promise<string[]>
  /** The clients of a node are gone: the delays of their wills run from now. */
  releasePlainWills(input: { holder: string }): Promise<void>
  /** Wills whose delay ended that long ago. */
  duePlainWills(input: { overdueMs: number; entriesMax: number }): Promise<PlainWill[]>
}
