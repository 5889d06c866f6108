/** A node of a bus that remembers what it heard. */
import { randomUUID } from 'node:crypto'
import { type BusListener, type DeviceClaim, newNodeId } from '../../broker/cluster/bus.ts'
import { NO_LOAD } from '../../broker/cluster/local-bus.ts'
import { RedisBus } from '../../broker/cluster/redis/redis-bus.ts'
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { RedisClient } from '../../services/redis/redis.ts'
import type { CommittedEntry } from '../../services/store/contract.ts'

export const LEASE_MS = 2000

export type BusNodeOptions = { url: string; prefix: string; name: string }

const silent = { error() {}, warn() {}, info() {} } as never

export class BusNode implements AsyncDisposable {
  readonly client: RedisClient
  readonly bus: RedisBus
  /** Doorbells, as `log/seq/json` of entries and in words else. */
  readonly heard: string[] = []
  readonly devicesLost: string[] = []
  readonly devicesClosed: string[] = []
  readonly gone: string[] = []
  readonly fanout: { log: LogId; frame: Buffer }[] = []
  losses = 0
  lastLossAgeMs = 0
  /** Called with each of the events above, by name. */
  onEvent: (name: string, value: unknown) => void = () => {}

  constructor({ url, prefix, name }: BusNodeOptions) {
    this.client = new RedisClient({ url, name, log: silent })
    this.bus = new RedisBus({
      client: this.client,
      keyPrefix: prefix,
      node: newNodeId(name),
      self: { name, version: '1', roles: ['broker', 'fanout'], adminUrl: () => null },
      fanout: { append: (log, frame) => void this.fanout.push({ log, frame }) },
      nodeLeaseMs: LEASE_MS,
      takeoverTimeoutMs: 1000,
      log: silent,
    })
  }

  static async start(options: BusNodeOptions): Promise<BusNode> {
    const node = new BusNode(options)
    await node.bus.open({
      listener: node.#listener(),
      describe: () => ({ state: 'ready', load: NO_LOAD }),
    })
    return node
  }

  #listener(): BusListener {
    const hear = (text: string) => void this.heard.push(text)
    return {
      entryCommitted: ({ log, seq, bytes, start, end }) =>
        hear(`${log}/${seq}/${bytes.toString('utf8', start, end)}`),
      logGrew: (log, epoch, head) => hear(`grew ${log} ${epoch} ${head}`),
      memberJoined: (log, uid, seq) => hear(`joined ${log} ${uid} ${seq}`),
      memberLeft: (log, uid, seq) => hear(`left ${log} ${uid} ${seq}`),
      stateChanged: (uid, scope, version) => hear(`changed ${uid} ${scope} ${version}`),
      readMoved: (uid, log, seq) => hear(`read ${uid} ${log} ${seq}`),
      loginEnded: (uid, device, sid) => hear(`ended ${uid} ${device} ${sid}`),
      plainReceived: (frame) => hear(`plain ${frame}`),
      signalReceived: (frame) => hear(`signal ${frame}`),
      presenceChanged: (uid, { node, state }) => hear(`presence ${uid} ${node.split('.')[0]} ${state}`),
      doorbellsLost: (ageMs) => {
        this.losses++
        this.lastLossAgeMs = ageMs
        this.onEvent('doorbellsLost', ageMs)
      },
      nodeGone: (node) => {
        this.gone.push(node)
        this.onEvent('nodeGone', node)
      },
      deviceLost: (clientId) => {
        this.devicesLost.push(clientId)
        this.onEvent('deviceLost', clientId)
      },
      closeDevice: async (clientId) => void this.devicesClosed.push(clientId),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus[Symbol.asyncDispose]()
    await this.client[Symbol.asyncDispose]()
  }
}

export const newPrefix = (): string => `test-${randomUUID().slice(0, 8)}`

export function claimOf(clientId: string, changes: Partial<DeviceClaim> = {}): DeviceClaim {
  const [uid, device] = clientId.split('/') as [UserId, DeviceId]
  return { clientId: clientId as ClientId, uid, device, session: null, generation: 0, order: 0, ...changes }
}

export function entryOf(log: string, seq: number, json = '{}'): CommittedEntry {
  const bytes = Buffer.from(json)
  return {
    log: log as LogId,
    epoch: 'k1',
    seq,
    uid: 'alice' as UserId,
    device: null,
    withheld: false,
    bytes,
    start: 0,
    end: bytes.length,
  }
}
