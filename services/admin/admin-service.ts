/** The operations of the admin port, over what the nodes and the store say. */

import {
  type AdminName,
  type AdminParams,
  type AdminResult,
  parseAdminParams,
} from '../../protocol/admin/operations.ts'
import type { DeviceRow, DrainRow, TraceLine } from '../../protocol/admin/rows.ts'
import { WochatError } from '../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { parseDeviceId, parseLog, parseUserId } from '../../protocol/ids.ts'
import type { MessageSender } from '../messages/message-sender.ts'
import type { AccountStore, OperationStore } from '../store/contract.ts'
import type { InspectionStore } from '../store/inspection.ts'
import { askAll, brokersOf, getNode } from './all-nodes.ts'
import type { ClusterPort, DrainAnswer, NodeFacts, StreamsPort } from './cluster-port.ts'
import { createOperatorHandlers } from './operator-handlers.ts'
import { sendAs } from './send-as.ts'
import { traceMessages } from './trace.ts'

const REBALANCE_SHARE_DEFAULT = 0.1
const SLOW_ROWS_DEFAULT = 20
const READERS_DEFAULT = 100

type AdminParts = {
  cluster: ClusterPort
  store: Pick<AccountStore, 'revokeDevice'> & Pick<OperationStore, 'perform' | 'run'> & InspectionStore
  sender: MessageSender
  /** Null where there is no Redis. */
  streams: StreamsPort | null
  /** What is wrong but stops nothing. */
  warnings: () => string[]
}

type CallName = Exclude<AdminName, 'trace'>
type Handlers = { readonly [Name in CallName]: (params: AdminParams<Name>) => Promise<AdminResult<Name>> }

export class AdminService {
  readonly #cluster: ClusterPort
  readonly #store: AdminParts['store']
  readonly #streams: StreamsPort | null
  readonly #warnings: () => string[]
  readonly #handlers: Handlers

  constructor({ cluster, store, sender, streams, warnings }: AdminParts) {
    this.#cluster = cluster
    this.#store = store
    this.#streams = streams
    this.#warnings = warnings
    this.#handlers = {
      nodes: () => this.#nodes(),
      sessions: ({ uid }) => this.#sessions(readUid(uid)),
      kick: ({ uid, device }) => this.#kick(readUid(uid), device === undefined ? null : readDevice(device)),
      revoke: ({ uid, device }) => this.#revoke(readUid(uid), readDevice(device)),
      drain: ({ node }) => this.#drain(node, 'admin.drain'),
      undrain: ({ node }) => this.#drain(node, 'admin.undrain'),
      drainStatus: ({ node }) => this.#drainStatus(node),
      rebalance: ({ share }) => this.#rebalance(share ?? REBALANCE_SHARE_DEFAULT),
      queues: () => this.#queues(),
      slow: (params) => this.#slow(params),
      message: (params) => this.#message(params),
      sendAs: (params) => sendAs({ store, sender }, params),
      ...createOperatorHandlers(store),
    }
  }

  /** Checks the parameters and runs an operation; rejects with a `WochatError`, or with a failure of ours. */
  call(name: CallName, params: unknown): Promise<unknown> {
    // The handler is of the same name as the parameters, which the type of a table cannot say.
    const run = this.#handlers[name] as (params: unknown) => Promise<unknown>
    return run(parseAdminParams(name, params))
  }

  /** The lines of a trace; the nodes forget it when the iteration ends. */
  trace(params: unknown, signal: AbortSignal): AsyncGenerator<TraceLine> {
    return traceMessages(this.#cluster, parseAdminParams('trace', params), signal)
  }

  // -------------------------------------------------------------- nodes

  async #nodes(): Promise<AdminResult<'nodes'>> {
    const now = Date.now()
    const nodes = await this.#cluster.nodes()
    const rows = nodes.map(({ startedAt, ...node }) => ({
      ...node,
      uptimeMs: Math.max(0, now - startedAt),
      isSelf: node.id === this.#cluster.self,
    }))
    rows.sort((a, b) => (a.name < b.name ? -1 : 1))
    return { nodes: rows, warnings: this.#warnings() }
  }

  async #drain(node: string, question: 'admin.drain' | 'admin.undrain'): Promise<DrainRow> {
    const facts = await getNode(this.#cluster, node)
    return drainRow(facts, await this.#cluster.ask(facts.id, question, null))
  }

  async #drainStatus(node: string | undefined): Promise<AdminResult<'drainStatus'>> {
    if (node === undefined) {
      const nodes = await this.#cluster.nodes()
      const { answers, away } = await askAll(this.#cluster, nodes, 'admin.drainStatus', null)
      return { nodes: answers.map(({ node: facts, answer }) => drainRow(facts, answer)), away }
    }
    const facts = await getNode(this.#cluster, node)
    const answer = await this.#cluster.ask(facts.id, 'admin.drainStatus', null)
    return { nodes: [drainRow(facts, answer)], away: [] }
  }

  /** Only a node that is well above the average sheds, and only what is above it: a second call then does nothing. */
  async #rebalance(share: number): Promise<AdminResult<'rebalance'>> {
    const nodes = (await brokersOf(this.#cluster)).filter(({ state }) => state === 'ready')
    const average = nodes.reduce((sum, { connections }) => sum + connections, 0) / Math.max(1, nodes.length)
    const shed: AdminResult<'rebalance'>['shed'] = []
    const away: string[] = []
    for (const node of nodes.filter(({ connections }) => connections > average * (1 + share))) {
      const surplus = Math.floor(node.connections - average)
      if (surplus === 0) continue
      const asked = await askAll(this.#cluster, [node], 'admin.shed', { connections: surplus })
      away.push(...asked.away)
      if (asked.answers.length > 0) shed.push({ node: node.id, connections: node.connections, surplus })
    }
    return { average, shed, away }
  }

  // -------------------------------------------------------------- people

  async #sessions(uid: UserId): Promise<AdminResult<'sessions'>> {
    const devices = await this.#store.inspectDevices(uid)
    if (devices === null) throw new WochatError('unknown_user')
    const { answers, away } = await askAll(
      this.#cluster,
      await brokersOf(this.#cluster),
      'admin.connections',
      {
        uid,
      },
    )
    const rows = new Map<string, DeviceRow>(
      devices.map(({ device, session }) => [device, { device, session, connection: null }]),
    )
    for (const { node, answer } of answers) {
      for (const { device, connection } of answer) {
        const session = rows.get(device)?.session ?? null
        rows.set(device, { device, session, connection: { node: node.id, ...connection } })
      }
    }
    return { uid, devices: [...rows.values()], away }
  }

  async #kick(uid: UserId, device: DeviceId | null): Promise<AdminResult<'kick'>> {
    const nodes = await brokersOf(this.#cluster)
    const { answers, away } = await askAll(this.#cluster, nodes, 'admin.kick', { uid, device })
    const closed = answers.flatMap(({ node, answer }) =>
      answer.map((kicked) => ({ device: kicked, node: node.id })),
    )
    // Asked afterwards, so that a kick works while the store is away.
    if (closed.length === 0 && (await this.#store.inspectDevices(uid)) === null) {
      throw new WochatError('unknown_user')
    }
    return { closed, away }
  }

  async #revoke(uid: UserId, device: DeviceId): Promise<AdminResult<'revoke'>> {
    if ((await this.#store.inspectDevices(uid)) === null) throw new WochatError('unknown_user')
    await this.#store.revokeDevice({ uid, device })
    return { revoked: true }
  }

  // -------------------------------------------------------------- what waits

  async #queues(): Promise<AdminResult<'queues'>> {
    const asked = askAll(this.#cluster, await brokersOf(this.#cluster), 'admin.queues', null)
    // The streams are a part of the picture; without them the rest is still worth having.
    const streams = await this.#streams?.streams().catch(() => null)
    const { answers, away } = await asked
    const nodes = answers.map(({ node, answer }) => ({ node: node.id, ...answer }))
    return { nodes, streams: streams ?? null, away }
  }

  async #slow({
    by = 'unacked',
    limit = SLOW_ROWS_DEFAULT,
  }: AdminParams<'slow'>): Promise<AdminResult<'slow'>> {
    const nodes = await brokersOf(this.#cluster)
    const { answers, away } = await askAll(this.#cluster, nodes, 'admin.slow', { by, limit })
    const rows = answers.flatMap(({ node, answer }) => answer.map((row) => ({ ...row, node: node.id })))
    const figure = { behind: 'entriesBehind', unacked: 'unackedMs', buffer: 'writeBufferBytes' } as const
    rows.sort((a, b) => b[figure[by]] - a[figure[by]])
    return { connections: rows.slice(0, limit), away }
  }

  async #message(params: AdminParams<'message'>): Promise<AdminResult<'message'>> {
    const { seq, limit: membersMax = READERS_DEFAULT, cursor = null } = params
    const log = readLog(params.log)
    const entry = await this.#store.inspectEntry({ log, seq })
    const page = await this.#store.inspectReaders({ log, seq, membersMax, cursor })
    return { entry, readers: page.readers, ...(page.cursor !== null && { cursor: page.cursor }) }
  }
}

function drainRow({ id, name }: NodeFacts, answer: DrainAnswer): DrainRow {
  return { node: id, name, ...answer }
}

// The schemas hold the alphabets; these also refuse reserved names and logs that are not in their one form.

function readUid(text: string): UserId {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', 'uid: not a uid')
  return uid
}

function readDevice(text: string): DeviceId {
  const device = parseDeviceId(text)
  if (device === undefined) throw new WochatError('bad_request', 'device: not a device id')
  return device
}

function readLog(text: string): LogId {
  const parsed = parseLog(text)
  if (parsed === undefined) throw new WochatError('bad_request', 'log: the uids of a direct log are sorted')
  return parsed.log
}
