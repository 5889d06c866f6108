/** What an inbox works with: the connection that it is sent over, and what all inboxes of a node share. */
import type { Store } from '../../services/store/contract.ts'
import type { SharedStore } from '../../services/store/shared-store.ts'
import type { Outbox } from '../gate/outbox.ts'
import type { Tracing } from '../trace/tracing.ts'
import type { CursorWriter } from './cursor-writer.ts'
import type { GroupWatch } from './group-watch.ts'
import type { Hub } from './hub.ts'

/** What an inbox needs of the connection that it is sent over. */
export interface InboxWire {
  readonly version: 4 | 5
  readonly outbox: Outbox
  /** Whole packet, fixed header included; MQTT 5 Maximum Packet Size. */
  readonly packetBytesMax: number
  /** Entries that may be unacknowledged now, next to what else is on its way on this connection. */
  entryRoom(): number
  /** ms, read once per turn. */
  now(): number
  /** The inbox has been sent everything (`done`), or begins to drain so many entries (`start`). */
  syncStarted(pending: number): void
  syncDone(): void
  /** The inbox cannot go on; the connection must close so that the device comes back. */
  failed(error: unknown): void
}

export type InboxServices = {
  readonly store: Store
  readonly hub: Hub
  readonly cursors: CursorWriter
  readonly metrics: { deliveries: number; drains: number; acks: number; gaps: number; redeliveries: number }
  readonly tracing: Tracing
  readonly backlogEntriesMax: number
  /** Where doorbells come from several nodes, in no order; null where the store's own feed rings. */
  readonly shared: { readonly store: Pick<SharedStore, 'placeLogs'>; readonly watch: GroupWatch } | null
}
