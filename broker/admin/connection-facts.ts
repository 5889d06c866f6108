/** Figures of connections, as an operator is told them. */
import type { ConnectionRow, QueueRow, SlowRow } from '../../protocol/admin/rows.ts'
import type { SlowOrder } from '../../services/admin/cluster-port.ts'
import type { Connection } from '../gate/connection.ts'
import { UNKNOWN } from '../inbox/log-place.ts'

export function connectionFacts(connection: Connection, now: number): Omit<ConnectionRow, 'node'> {
  const { transport, outbox, openedAt, version, identity } = connection
  return {
    since: openedAt,
    address: transport.remoteAddress,
    transport: transport.kind,
    protocol: version === 5 ? '5' : '3.1.1',
    inbox: identity.session.mode,
    inflight: identity.session.inflight.unacked,
    unackedMs: unackedMs(connection, now),
    logsBehind: behindOf(connection).logs,
    writeBufferBytes: outbox.pendingBytes,
  }
}

export function queueFacts(connections: Iterable<Connection>, sendsWaiting: number): Omit<QueueRow, 'node'> {
  const facts = { sendsWaiting, inboxesBehind: 0, inflight: 0, writeBufferBytes: 0 }
  for (const { identity, outbox } of opened(connections)) {
    if (identity.session.mode === 'draining') facts.inboxesBehind++
    facts.inflight += identity.session.inflight.unacked
    facts.writeBufferBytes += outbox.pendingBytes
  }
  return facts
}

/** The `limit` connections with the highest figure; those with none are not slow. */
export function slowest(
  connections: Iterable<Connection>,
  by: SlowOrder,
  limit: number,
  now: number,
): Omit<SlowRow, 'node'>[] {
  const found: { connection: Connection; figure: number }[] = []
  for (const connection of opened(connections)) {
    const figure = figureOf(connection, by, now)
    if (figure === 0 || (found.length === limit && figure <= found.at(-1)!.figure)) continue
    const at = found.findIndex((other) => other.figure < figure)
    found.splice(at < 0 ? found.length : at, 0, { connection, figure })
    if (found.length > limit) found.pop()
  }
  return found.map(({ connection }) => slowFacts(connection, now))
}

function slowFacts(connection: Connection, now: number): Omit<SlowRow, 'node'> {
  const { uid, device, identity, outbox } = connection
  const behind = behindOf(connection)
  return {
    uid,
    device,
    logsBehind: behind.logs,
    entriesBehind: behind.entries,
    inflight: identity.session.inflight.unacked,
    unackedMs: unackedMs(connection, now),
    writeBufferBytes: outbox.pendingBytes,
  }
}

function figureOf(connection: Connection, by: SlowOrder, now: number): number {
  if (by === 'buffer') return connection.outbox.pendingBytes
  return by === 'unacked' ? unackedMs(connection, now) : behindOf(connection).entries
}

function unackedMs({ identity: { session } }: Connection, now: number): number {
  const { unacked, waitingSince } = session.inflight
  return unacked === 0 ? 0 : Math.max(0, now - waitingSince)
}

function behindOf({ identity: { session } }: Connection): { logs: number; entries: number } {
  const behind = { logs: 0, entries: 0 }
  for (const place of session.places.values()) {
    if (!place.isBehind) continue
    behind.logs++
    if (place.sent !== UNKNOWN) behind.entries += place.head - place.sent
  }
  return behind
}

/** Those whose CONNECT was accepted: only they have an identity. */
function* opened(connections: Iterable<Connection>): Generator<Connection> {
  for (const connection of connections) if (connection.state === 'open') yield connection
}
