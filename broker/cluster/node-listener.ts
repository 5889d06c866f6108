/** What other nodes say to this one, and what the store knows when they could not. */
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { ChangeScope } from '../../protocol/reply.ts'
import type { PresencePart } from '../../services/presence/ports.ts'
import type { CommitFeed, CommittedEntry } from '../../services/store/contract.ts'
import type { StoreChanges } from '../../services/store/shared-store.ts'
import { ReasonCode } from '../gate/codec/constants.ts'
import type { Gate } from '../gate/gate.ts'
import type { Registry } from '../gate/registry.ts'
import type { Hub } from '../inbox/hub.ts'
import type { BusListener, NodeId } from './bus.ts'

type Parts = {
  gate: Gate
  hub: Hub
  registry: Registry
  /** The engine, which has its own part in what is between nodes. */
  plain: { plainReceived(frame: Buffer): void; doorbellsLost(): void }
  live: { received(frame: Buffer): void }
  presence: {
    changedElsewhere(uid: UserId, part: PresencePart): void
    nodeGone(node: NodeId): void
    refresh(): void
  }
  /** Starts a catch-up. */
  catchUp: (ageMs: number) => void
  /** A node died: what it held is adopted. */
  nodeGone: (node: NodeId) => void
}

export class NodeListener implements BusListener {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  // -------------------------------------------------------------- doorbells

  entryCommitted(entry: CommittedEntry): void {
    this.#parts.hub.entryCommitted(entry)
  }

  memberJoined(log: LogId, uid: UserId, fromSeq: number): void {
    this.#parts.hub.memberJoined(log, uid, fromSeq)
  }

  memberLeft(log: LogId, uid: UserId, toSeq: number): void {
    this.#parts.hub.memberLeft(log, uid, toSeq)
  }

  readMoved(uid: UserId, log: LogId, seq: number): void {
    this.#parts.gate.tellRead(uid, log, seq)
  }

  stateChanged(uid: UserId, scope: ChangeScope, version: number): void {
    this.#parts.gate.stateChanged(uid, scope, version)
  }

  /** The node that committed it ends what the store holds; here only connections are to be closed. */
  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.#parts.registry.endLogin(uid, device, sid)
  }

  logGrew(log: LogId, epoch: string, head: number): void {
    this.#parts.hub.logGrew(log, epoch, head)
  }

  plainReceived(frame: Buffer): void {
    this.#parts.plain.plainReceived(frame)
  }

  // -------------------------------------------------------------- what is live

  signalReceived(frame: Buffer): void {
    this.#parts.live.received(frame)
  }

  presenceChanged(uid: UserId, part: PresencePart): void {
    this.#parts.presence.changedElsewhere(uid, part)
  }

  // -------------------------------------------------------------- devices and nodes

  deviceLost(clientId: ClientId): void {
    this.#parts.registry.find(clientId)?.disconnect(ReasonCode.sessionTakenOver)
  }

  async closeDevice(clientId: ClientId): Promise<void> {
    const { registry } = this.#parts
    registry.find(clientId)?.disconnect(ReasonCode.sessionTakenOver)
    await registry.untilLeft(clientId)
  }

  nodeGone(node: NodeId): void {
    this.#parts.nodeGone(node)
    this.#parts.presence.nodeGone(node)
  }

  doorbellsLost(ageMs: number): void {
    this.#parts.plain.doorbellsLost()
    this.#parts.presence.refresh()
    this.#parts.catchUp(ageMs)
  }

  // -------------------------------------------------------------- catching up

  /** Says again what may have been lost; whoever knew it already drops it. */
  apply({ logs, windows, endedLogins }: StoreChanges): void {
    const { hub, gate } = this.#parts
    for (const { log, uid, fromSeq, toSeq } of windows) {
      if (toSeq === null) hub.memberJoined(log, uid, fromSeq)
      else hub.memberLeft(log, uid, toSeq)
    }
    for (const { log, epoch, head } of logs) hub.logGrew(log, epoch, head)
    for (const { uid, device } of endedLogins) gate.recheckLogins(uid, device)
  }
}

/** The feed of a node's own commits: rings here, and goes on to the others. */
export function feedBoth(here: CommitFeed, others: CommitFeed): CommitFeed {
  return {
    entryCommitted(entry) {
      here.entryCommitted(entry)
      others.entryCommitted(entry)
    },
    logGrew(log, epoch, head) {
      here.logGrew(log, epoch, head)
      others.logGrew(log, epoch, head)
    },
    memberJoined(log, uid, fromSeq) {
      here.memberJoined(log, uid, fromSeq)
      others.memberJoined(log, uid, fromSeq)
    },
    memberLeft(log, uid, toSeq) {
      here.memberLeft(log, uid, toSeq)
      others.memberLeft(log, uid, toSeq)
    },
    readMoved(uid, log, seq) {
      here.readMoved(uid, log, seq)
      others.readMoved(uid, log, seq)
    },
    stateChanged(uid, scope, version) {
      here.stateChanged(uid, scope, version)
      others.stateChanged(uid, scope, version)
    },
    loginEnded(uid, device, sid) {
      here.loginEnded(uid, device, sid)
      others.loginEnded(uid, device, sid)
    },
  }
}
