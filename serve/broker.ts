/** The broker role: everything behind the sockets of devices. */
import type { Logger } from 'pino'
import type { Bus, BusListener } from '../broker/cluster/bus.ts'
import { CatchUp } from '../broker/cluster/catch-up.ts'
import { feedBoth, NodeListener } from '../broker/cluster/node-listener.ts'
import { createEngine, type Engine } from '../broker/engine/engine.ts'
import { Gate } from '../broker/gate/gate.ts'
import { WriteTurn } from '../broker/gate/outbox.ts'
import { CursorWriter } from '../broker/inbox/cursor-writer.ts'
import type { Live } from '../broker/live/live.ts'
import type { Config } from '../config.ts'
import type { CommitFeed, Store } from '../services/store/contract.ts'
import type { SharedStore } from '../services/store/shared-store.ts'
import type { Connections } from './connections.ts'
import { adoptSessions } from './housekeeping.ts'
import type { Services } from './services.ts'

type BrokerParts = {
  config: Config
  store: Store
  shared: SharedStore | null
  bus: Bus
  connections: Connections
  live: Live
  services: Services
  log: Logger
  parts: AsyncDisposableStack
}

export type Broker = {
  gate: Gate
  engine: Engine
  /** What the store of this node tells: rings here, and goes on to the other nodes. */
  feed: CommitFeed
  /** Hears what the other nodes say. */
  listener: BusListener
  /** Catch-ups that were run. */
  catchUps(): number
}

export async function buildBroker(broker: BrokerParts): Promise<Broker> {
  const { shared, bus, log, parts } = broker
  const cursors = buildCursors(broker)
  const engine = await buildEngine(broker)
  const gate = buildGate(broker, cursors, engine)
  const catchUp =
    shared === null
      ? null
      : await CatchUp.open({ store: shared, apply: (found) => listener.apply(found), log })
  const listener = buildListener(broker, gate, engine, catchUp)
  parts.defer(() => catchUp?.close())
  return {
    gate,
    engine,
    feed: bus.isOrdered ? gate : feedBoth(gate, bus.outgoing),
    listener,
    catchUps: () => catchUp?.runs ?? 0,
  }
}

function buildCursors({ config, store, live, log, parts }: BrokerParts): CursorWriter {
  const cursors = new CursorWriter(
    store,
    config.cursorFlushMs,
    (error) => log.warn({ err: error }, 'cursors were not written; they are written with the next ones'),
    live.receipts,
  )
  parts.defer(() => cursors.flush())
  return cursors
}

async function buildEngine({ config, store, bus, log, parts }: BrokerParts): Promise<Engine> {
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
    ...(bus.hasOthers && { bus }),
  })
  parts.defer(() => engine.close())
  return engine
}

function buildGate(
  { config, store, shared, bus, connections, live, services, log, parts }: BrokerParts,
  cursors: CursorWriter,
  engine: Engine,
): Gate {
  const { clock, metrics, admission, registry, tracing, hub, groupWatch } = connections
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
      shared: shared === null || groupWatch === null ? null : { store: shared, watch: groupWatch },
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
  return gate
}

function buildListener(
  { config, store, bus, connections, live, log }: BrokerParts,
  gate: Gate,
  engine: Engine,
  catchUp: CatchUp | null,
): NodeListener {
  return new NodeListener({
    gate,
    hub: connections.hub,
    registry: connections.registry,
    plain: engine,
    live: live.delivery,
    presence: live.presence,
    catchUp: (ageMs) => catchUp?.start(ageMs),
    nodeGone: () => adoptSessions({ store, bus, engine, config, log }),
  })
}
