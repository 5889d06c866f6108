/**
 * A trace: armed on every node, read from each in turns, and shown in the order of their clocks. Every node, because any
 * may take a message: from a device, by HTTP, for an operator, or as what was planned or is broadcast. A node that starts
 * meanwhile is armed too; one that goes takes with it what it had not told yet.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AdminParams } from '../../protocol/admin/operations.ts'
import type { TraceEvent, TraceLine } from '../../protocol/admin/rows.ts'
import { WochatError } from '../../protocol/errors.ts'
import { buildClientId, parseClientId, parseLog } from '../../protocol/ids.ts'
import { askAll } from './all-nodes.ts'
import type { ClusterPort, NodeFacts, TraceTarget } from './cluster-port.ts'
import { FollowedMessage } from './followed-message.ts'

const SECONDS_DEFAULT = 60
const READ_EVERY_MS = 200
/** How often nodes that are new are looked for. */
const FIND_NODES_EVERY_MS = 2000

type ArmedNode = Pick<NodeFacts, 'id'>

export async function* traceMessages(
  cluster: ClusterPort,
  params: AdminParams<'trace'>,
  signal: AbortSignal,
): AsyncGenerator<TraceLine> {
  const ms = (params.seconds ?? SECONDS_DEFAULT) * 1000
  const trace = { trace: randomUUID(), target: readTarget(params) }
  const endAt = Date.now() + ms
  const armed = new Map<string, ArmedNode>()
  const followed = params.id === undefined ? null : new FollowedMessage(params.id)
  let events = 0
  try {
    const away = await arm(cluster, { ...trace, ms }, armed)
    yield { kind: 'started', nodes: [...armed.keys()], away }
    let lookedAt = Date.now()
    for (let isLast = false; !isLast; ) {
      isLast = !(await pause(READ_EVERY_MS, signal)) || Date.now() >= endAt
      if (!isLast && Date.now() - lookedAt >= FIND_NODES_EVERY_MS) {
        lookedAt = Date.now()
        await arm(cluster, { ...trace, ms: endAt - lookedAt }, armed)
      }
      for (const line of await read(cluster, trace.trace, armed, followed)) {
        if (line.kind === 'step') events++
        yield line
      }
    }
    yield { kind: 'ended', events }
  } finally {
    await askAll(cluster, [...armed.values()], 'admin.traceDisarm', { trace: trace.trace })
  }
}

function readTarget({ device, log, seq, id }: AdminParams<'trace'>): TraceTarget {
  if ((device === undefined) === (log === undefined)) {
    throw new WochatError('bad_request', 'either device or log: name one of them')
  }
  if ((seq !== undefined && id !== undefined) || (log === undefined && (seq ?? id) !== undefined)) {
    throw new WochatError('bad_request', 'either seq or id, and the log with it')
  }
  if (log !== undefined) {
    const parsed = parseLog(log)
    if (parsed === undefined) throw new WochatError('bad_request', 'log: the uids of a direct log are sorted')
    return { log: parsed.log, ...(seq !== undefined && { seq }), ...(id !== undefined && { id }) }
  }
  const ids = parseClientId(device!)
  if (ids === undefined) throw new WochatError('bad_request', 'device: not of the form uid/device')
  return { clientId: buildClientId(ids.uid, ids.deviceId) }
}

/** Arms the nodes that are not armed yet; answers those that are away. */
async function arm(
  cluster: ClusterPort,
  question: { trace: string; target: TraceTarget; ms: number },
  armed: Map<string, ArmedNode>,
): Promise<string[]> {
  // The primary of workers is in no list, and sends what is planned.
  const live = new Set([cluster.self, ...(await cluster.nodes()).map(({ id }) => id)])
  const nodes = [...live].filter((id) => !armed.has(id)).map((id) => ({ id }))
  const { answers, away } = await askAll(cluster, nodes, 'admin.traceArm', question)
  for (const { node } of answers) armed.set(node.id, node)
  return away
}

async function read(
  cluster: ClusterPort,
  trace: string,
  armed: ReadonlyMap<string, ArmedNode>,
  followed: FollowedMessage | null,
): Promise<TraceLine[]> {
  const { answers } = await askAll(cluster, [...armed.values()], 'admin.traceRead', { trace })
  const found: TraceEvent[] = answers.flatMap(({ node, answer }) =>
    answer.events.map((note) => ({ kind: 'step' as const, node: node.id, ...note })),
  )
  const events = followed === null ? found : followed.pick(found)
  // Stable: what one node saw stays in its order.
  events.sort((a, b) => a.at - b.at)
  const dropped = answers.filter(({ answer }) => answer.dropped > 0)
  return [
    ...events,
    ...dropped.map(({ node, answer }) => ({
      kind: 'dropped' as const,
      node: node.id,
      events: answer.dropped,
    })),
  ]
}

/** False when the caller has gone. */
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false)
}
