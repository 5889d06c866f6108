/** What `/metrics` says of what is live: signals, presence, rooms without entries, and what was left out. */
import type { Registry } from 'prom-client'
import type { SignalCounters } from './cluster/bus.ts'
import type { GateMetrics } from './gate/gate-metrics.ts'
import type { Live } from './live/live.ts'
import { observedMetrics } from './observed-metrics.ts'

export type LiveSources = { gate: GateMetrics; live: Live; signals: SignalCounters }

export function observeLive(registry: Registry, { gate, live, signals }: LiveSources): void {
  const { gauge, counter } = observedMetrics(registry)
  const { presence, rooms, receipts } = live
  gauge('wochat_presence_people', 'People who are connected to this node.', () => presence.people)
  gauge(
    'wochat_presence_watched',
    'People who are watched by connections of this node.',
    () => presence.watches.size,
  )
  counter('wochat_presence_told_total', 'Changes told to those who watch.', () => presence.watches.told)
  gauge('wochat_room_connections', 'Connections in rooms that keep no entries.', () => rooms.size)
  counter('wochat_signals_total', 'Signals received.', () => gate.signals)
  counter(
    'wochat_signals_dropped_total',
    'Signals above the rate of their connection.',
    () => gate.signalsDropped,
  )
  counter('wochat_live_events_total', 'Live events written to devices.', () => gate.liveEvents)
  counter(
    'wochat_live_events_dropped_total',
    'Live events left out because the device did not keep up.',
    () => gate.liveEventsDropped,
  )
  counter('wochat_bus_signals_sent_total', 'Live events handed to other nodes.', () => signals.sent)
  counter(
    'wochat_bus_signals_dropped_total',
    'Live events for other nodes that were given up.',
    () => signals.dropped + receipts.dropped,
  )
}
