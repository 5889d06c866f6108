/** What the operator's answers are made of: nodes, connections, sessions, steps of a message. */
import { type Static, type TSchema, Type } from 'typebox'

const Count = (description: string) => Type.Integer({ minimum: 0, description })
const Ms = (description: string) => Type.Number({ minimum: 0, description })
const Time = (description: string) => Type.Integer({ description: `${description} ms since 1970.` })
const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])

/** One shape for what several nodes answered: those that did not are named, and not silently missing. */
export const Away = Type.Array(Type.String(), { description: 'Nodes that did not answer in time.' })

const NODE_STATES = ['starting', 'ready', 'draining', 'stopping'] as const

export const NodeRow = Type.Object({
  id: Type.String({ description: 'One life of one process.' }),
  name: Type.String({ description: 'As configured; the same over restarts.' }),
  version: Type.String(),
  roles: Type.Array(Type.String()),
  state: Type.Enum([...NODE_STATES]),
  uptimeMs: Ms('Since its start.'),
  adminUrl: orNull(Type.String({ description: 'Its admin port, where others reach it.' })),
  isSelf: Type.Boolean({ description: 'The node that answers.' }),
  connections: Count('Open sockets.'),
  connectionsMax: Count('Its bound on them.'),
  sendsPerSecond: Type.Number(),
  deliveriesPerSecond: Type.Number(),
  eventLoopDelayMs: Ms('99th percentile of the last second.'),
  memoryBytes: Count('Resident memory.'),
})
export type NodeRow = Static<typeof NodeRow>

export const ConnectionRow = Type.Object({
  node: Type.String(),
  since: Time('Since when it is connected,'),
  address: Type.String({ description: 'Of the client.' }),
  transport: Type.String({ description: 'tcp, tls or ws.' }),
  protocol: Type.String({ description: 'Version of MQTT: 3.1.1 or 5.' }),
  inbox: Type.String({ description: 'off (not subscribed), starting, draining or live.' }),
  inflight: Count('Entries and replies without a PUBACK.'),
  unackedMs: Ms('For how long the oldest of them has waited.'),
  logsBehind: Count('Logs that wait to be read from the store.'),
  writeBufferBytes: Count('Bytes that the socket has not taken.'),
})
export type ConnectionRow = Static<typeof ConnectionRow>

export const StoredSession = Type.Object({
  expiresAt: orNull(Time('When it ends; null while its device is connected,')),
  pending: orNull(Count('Entries that wait for it; null while its inbox was never subscribed.')),
})
export type StoredSession = Static<typeof StoredSession>

export const DeviceRow = Type.Object({
  device: Type.String(),
  connection: orNull(ConnectionRow),
  session: orNull(StoredSession),
})
export type DeviceRow = Static<typeof DeviceRow>

export const DRAIN_STATES = ['none', 'announced', 'closing', 'drained'] as const

export const DrainRow = Type.Object({
  node: Type.String(),
  name: Type.String(),
  state: Type.Enum([...DRAIN_STATES], {
    description:
      'none; announced: /readyz is red, and new connections are still taken until the load balancer has seen it; closing; drained.',
  }),
  startedAt: orNull(Time('Of the drain,')),
  connectionsAtStart: Count('When it began to close.'),
  connectionsLeft: Count('Open now.'),
})
export type DrainRow = Static<typeof DrainRow>

export const QueueRow = Type.Object({
  node: Type.String(),
  sendsWaiting: Count('Sends that wait for a commit.'),
  inboxesBehind: Count('Inboxes that are being drained.'),
  inflight: Count('Entries and replies without a PUBACK.'),
  writeBufferBytes: Count('Bytes that sockets have not taken.'),
})
export type QueueRow = Static<typeof QueueRow>

export const StreamRow = Type.Object({
  stream: Type.String(),
  length: Count('Jobs in it.'),
  pending: Count('Jobs that a worker has taken and not finished.'),
})
export type StreamRow = Static<typeof StreamRow>

export const SlowRow = Type.Object({
  uid: Type.String(),
  device: Type.String(),
  node: Type.String(),
  logsBehind: Count('Logs that wait to be read from the store.'),
  entriesBehind: Count('Entries of those logs that were not sent.'),
  inflight: Count('Without a PUBACK.'),
  unackedMs: Ms('For how long the oldest has waited.'),
  writeBufferBytes: Count('Bytes that the socket has not taken.'),
})
export type SlowRow = Static<typeof SlowRow>

/** The way of a message, in this order. */
const TRACE_STEPS = ['accepted', 'refused', 'stored', 'rung', 'sent', 'acknowledged'] as const
export type TraceStep = (typeof TRACE_STEPS)[number]

export const TraceEvent = Type.Object({
  kind: Type.Literal('step'),
  step: Type.Enum([...TRACE_STEPS]),
  at: Time('By the clock of the node,'),
  node: Type.String(),
  log: Type.String(),
  seq: orNull(Type.Integer({ description: 'Null before the entry has one.' })),
  uid: Type.String({ description: 'Who wrote, or whose device it is.' }),
  device: orNull(Type.String()),
  id: orNull(Type.String({ description: "The author's id of the message, where it is known." })),
})
export type TraceEvent = Static<typeof TraceEvent>

export const TraceLine = Type.Union([
  Type.Object({ kind: Type.Literal('started'), nodes: Type.Array(Type.String()), away: Away }),
  TraceEvent,
  Type.Object({
    kind: Type.Literal('dropped'),
    node: Type.String(),
    events: Count('Above the bound per second.'),
  }),
  Type.Object({ kind: Type.Literal('ended'), events: Count('That were shown.') }),
])
export type TraceLine = Static<typeof TraceLine>

export const EntryFacts = Type.Object({
  log: Type.String(),
  epoch: Type.String(),
  seq: Type.Integer(),
  at: Time('When it was stored,'),
  kind: Type.String(),
  from: Type.String(),
  device: orNull(Type.String()),
  id: orNull(Type.String()),
  type: Type.String(),
  head: Type.Integer({ description: 'The last seq of the log.' }),
})
export type EntryFacts = Static<typeof EntryFacts>

export const ReaderRow = Type.Object({
  uid: Type.String(),
  device: orNull(Type.String({ description: 'Null for a member without a stored session.' })),
  cursor: orNull(Type.Integer({ description: 'The last seq that the device acknowledged.' })),
  isAcknowledged: Type.Boolean(),
})
export type ReaderRow = Static<typeof ReaderRow>
