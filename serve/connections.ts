/** Who is connected to this node and who of them hears of what; without the role broker they stay empty. */
import type { Bus } from '../broker/cluster/bus.ts'
import { Admission } from '../broker/gate/admission.ts'
import { Clock } from '../broker/gate/clock.ts'
import type { Connection } from '../broker/gate/connection.ts'
import { Draining } from '../broker/gate/draining.ts'
import { GateMetrics } from '../broker/gate/gate-metrics.ts'
import { Registry } from '../broker/gate/registry.ts'
import { GroupWatch } from '../broker/inbox/group-watch.ts'
import { Hub } from '../broker/inbox/hub.ts'
import { CountedWatch } from '../broker/live/counted-watch.ts'
import { Tracing } from '../broker/trace/tracing.ts'
import type { Config } from '../config.ts'

type ConnectionParts = {
  config: Config
  bus: Bus
  /** 0 where no device connects. */
  connectionsMax: number
  parts: AsyncDisposableStack
}

export type Connections = {
  clock: Clock
  metrics: GateMetrics
  admission: Admission
  connectionsMax: number
  registry: Registry
  draining: Draining
  tracing: Tracing
  /** How the parts of a node watch groups, so that none ends what another watches. */
  watch: CountedWatch
  /** The groups of the inboxes here; null where every node hears of every commit. */
  groupWatch: GroupWatch | null
  hub: Hub
  /** Entries and replies without a PUBACK. */
  inflight(): number
  /** Inboxes that are being drained. */
  behind(): number
}

export function buildConnections({ config, bus, connectionsMax, parts }: ConnectionParts): Connections {
  const clock = new Clock()
  parts.defer(() => clock.stop())
  const admission = new Admission(clock, connectionsMax, config.connectsPerAddressMax)
  const registry = new Registry()
  const draining = parts.use(new Draining(registry, admission, config))
  const tracing = parts.use(new Tracing())
  const watch = new CountedWatch(bus)
  const groupWatch = bus.isOrdered ? null : new GroupWatch(watch.open())
  return {
    clock,
    metrics: new GateMetrics(),
    admission,
    connectionsMax,
    registry,
    draining,
    tracing,
    watch,
    groupWatch,
    hub: new Hub(tracing, groupWatch),
    inflight: () => sumOver(registry, ({ identity }) => identity.session.inflight.unacked),
    behind: () => sumOver(registry, ({ identity }) => (identity.session.mode === 'draining' ? 1 : 0)),
  }
}

function sumOver(registry: Registry, read: (connection: Connection) => number): number {
  let sum = 0
  for (const connection of registry.all) if (connection.state === 'open') sum += read(connection)
  return sum
}
