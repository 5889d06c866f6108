/** What the operator's service needs of the nodes: a list of them, and questions that each answers about itself. */
import type {
  ConnectionRow,
  DrainRow,
  NodeRow,
  QueueRow,
  SlowRow,
  TraceEvent,
} from '../../protocol/admin/rows.ts'
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'

export type NodeFacts = Omit<NodeRow, 'isSelf' | 'uptimeMs'> & { startedAt: number }

/** A device, a log, or one message of a log: by its place, or by its author's id. */
export type TraceTarget = { clientId: ClientId } | { log: LogId; seq?: number; id?: string }

/** Questions by name: what is asked and what is answered. Both are JSON. */
export type NodeQuestions = {
  'admin.connections': {
    params: { uid: UserId }
    answer: { device: DeviceId; connection: Omit<ConnectionRow, 'node'> }[]
  }
  /** `device` null: all of the user. Answers whose connections were closed. */
  'admin.kick': { params: { uid: UserId; device: DeviceId | null }; answer: DeviceId[] }
  'admin.drain': { params: null; answer: DrainAnswer }
  'admin.undrain': { params: null; answer: DrainAnswer }
  'admin.drainStatus': { params: null; answer: DrainAnswer }
  /** Sends so many devices elsewhere, in steps. */
  'admin.shed': { params: { connections: number }; answer: null }
  'admin.queues': { params: null; answer: Omit<QueueRow, 'node'> }
  'admin.slow': { params: { by: SlowOrder; limit: number }; answer: Omit<SlowRow, 'node'>[] }
  /** Refuses `busy` when the node has as many traces as allowed. */
  'admin.traceArm': { params: { trace: string; target: TraceTarget; ms: number }; answer: null }
  /** What happened since the last read. A trace that is not read is disarmed. */
  'admin.traceRead': { params: { trace: string }; answer: { events: TraceNote[]; dropped: number } }
  'admin.traceDisarm': { params: { trace: string }; answer: null }
}

export type NodeQuestion = keyof NodeQuestions
export type DrainAnswer = Omit<DrainRow, 'node' | 'name'>
export type SlowOrder = 'behind' | 'unacked' | 'buffer'
export type TraceNote = Omit<TraceEvent, 'kind' | 'node'>

export interface ClusterPort {
  /** The node that asks. */
  readonly self: string
  /** All nodes that live. */
  nodes(): Promise<NodeFacts[]>
  /** Rejects with `node_away` when the node does not answer within `timeoutMs`, else with its refusal. */
  ask<Name extends NodeQuestion>(
    node: string,
    question: Name,
    params: NodeQuestions[Name]['params'],
    timeoutMs?: number,
  ): Promise<NodeQuestions[Name]['answer']>
}

/** Streams of jobs, where there are some. */
export interface StreamsPort {
  streams(): Promise<{ stream: string; length: number; pending: number }[]>
}
