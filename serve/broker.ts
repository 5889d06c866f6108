/** The broker role: everything behind the sockets of devices. */
import type { Logger } from 'pino'
import type { Bus } from '../broker/cluster/bus.ts'
import { CatchUp } from '../broker/cluster/catch-up.ts'
import { LocalBus, SILENT_FEED } from '../broker/cluster/local-bus.ts'
import { feedBoth, NodeListener } from '../broker/cluster/node-listener.ts'
import { createEngine, type Engine } from '../broker/engine/engine.ts'
import { Admission } from '../broker/gate/admission.ts'
import { Clock } from '../broker/gate/clock.ts'
import type { Connection } from '../broker/gate/connection.ts'
import { Draining } from '../broker/gate/draining.ts'
import { Gate } from '../broker/gate/gate.ts'
import { GateMetrics } from '../broker/gate/gate-services.ts'
import { WriteTurn } from '../broker/gate/outbox.ts'
import { Registry } from '../broker/gate/registry.ts'
import { CursorWriter } from '../broker/inbox/cursor-writer.ts'
import { GroupWatch } from '../broker/inbox/group-watch.ts'
import { Hub } from '../broker/inbox/hub.ts'
import type { Live } from '../broker/live/live.ts'
import { Tracing } from '../broker/trace/tracing.ts'
import type { Config } from '../config.ts'
import type { CommitFeed, Store } from '../services/store/contract.ts'
import type { SharedStore } from '../services/store/shared-store.ts'
import { adoptSessions } from './housekeeping.ts'
import type { Services } from './services.ts'

type BrokerParts = {
  config: Config
  store: Store
  shared: SharedStore | null
  bus: Bus
  services: Services
  live: Live
  /** Where the node's groups are watched. */
  watching: Pick<Bus, 'watch' | 'unwatch'>
  log: Logger
  parts: AsyncDisposableStack
}

export type Broker = {
  gate: Gate
  engine: Engine
  registry: Registry
  draining: Draining
  tracing: Tracing
  /** What the store of this node tells: rings here, and goes on to the other nodes. */
  feed: CommitFeed
  /** Entries and replies without a PUBACK. */
  inflight(): number
  /** Inboxes that are being drained. */
  behind(): number
  /** Catch-ups that were run. */
  catchUps(): number
}

export async function buildBroker({
  config,
  store,
  shared,
  bus,
  services,
  live,
  watching,
  log,
  parts,
}: BrokerParts): Promise<Broker> {
  const metrics = new GateMetrics()
  const clock = new Clock()
  parts.defer(() => clock.stop())
  const watch = bus.isOrdered ? null : new GroupWatch(watching)
  const tracing = parts.use(new Tracing())
  const hub = new Hub(tracing, watch)
  const cursors = new CursorWriter(
    store,
    config.cursorFlushMs,
    (error) => log.warn({ err: error }, 'cursors were not written; they are written with the next ones'),
    live.receipts,
  )
  parts.defer(() => cursors.flush())
  const engine = await createEngine({
    store,
    log,
    settings: {
      queuedMessagesMax: config.plainQueuedMessagesMax,
      waitingBytesMax: config.plainBufferBytesMax,
      halfOpenMax: config.plainHalfOpenMax,
      retainedIndexBytesMax: config.retainedIndexBytesMax,
      subscriptionsMax: config.subscriptionsPerSessionMax,
    },
    ...(!(bus instanceof LocalBus) && { bus }),
  })
  parts.defer(() => engine.close())
  const registry = new Registry()
  live.delivery.here = {
    eachOfUser: (uid, visit) =>
      registry.eachOfUser(uid, (connection) => {
        if (connection.live !== null) visit(connection.live)
      }),
    membersOf: (group) => hub.membersOf(group),
  }
  const admission = new Admission(clock, config.connectionsMax, config.connectsPerAddressMax)
  const draining = parts.use(new Draining(registry, admission, config))
  const gate = new Gate({
    store,
    verifier: services.verifier,
    dispatcher: services.dispatcher,
    intake: services.intake,
    engine,
    bus,
    inbox: {
      store,
      hub,
      cursors,
      metrics,
      tracing,
      backlogEntriesMax: config.backlogEntriesMax,
      shared: shared === null || watch === null ? null : { store: shared, watch },
    },
    live,
    registry,
    admission,
    turn: new WriteTurn(),
    clock,
    limits: config,
    metrics,
    tracing,
    log,
    openPlain: config.openPlain,
  })
  parts.defer(() => gate.stop())
  const catchUp =
    shared === null ? null : new CatchUp({ store: shared, apply: (found) => listener.apply(found), log })
  const listener = new NodeListener({
    gate,
    hub,
    registry,
    plain: engine,
    live: live.delivery,
    presence: live.presence,
    catchUp: (ageMs) => catchUp?.start(ageMs),
    nodeGone: () => adoptSessions({ store, bus, engine, config, log }),
  })
  bus.listener = listener
  await catchUp?.open()
  parts.defer(() => catchUp?.close())
  return {
    gate,
    engine,
    registry,
    draining,
    tracing,
    feed: bus.outgoing === SILENT_FEED ? gate : feedBoth(gate, bus.outgoing),
    inflight: () => sumOver(registry, ({ identity }) => identity.session.inflight.unacked),
    catchUps: () => catchUp?.runs ?? 0,
    behind: () => sumOver(registry, ({ identity }) => (identity.session.mode === 'draining' ? 1 : 0)),
  }
}

function sumOver(registry: Registry, read: (connection: Connection) => number): number {
  let sum = 0
  for (const connection of registry.all) if (connection.state === 'open') sum += read(connection)
  return sum
}
