/** An entry as operations read it from the table, and as it stands on the wire. */
import type { Entry, EntryState } from '../../../../protocol/entry.ts'
import type { LogId, UserId } from '../../../../protocol/ids.ts'
import { encodeEpoch } from '../../epoch.ts'
import { wireKind } from '../../withheld.ts'

export type EntryRow = {
  seq: number
  at: number
  kind: string
  /** Its author. */
  uid: UserId
  device: string | null
  id: string | null
  type: string
  /** JSON, both. */
  body: string
  state: string | null
}

export function buildEntry(log: { name: LogId; epoch: number }, row: EntryRow): Entry {
  return {
    log: log.name,
    epoch: encodeEpoch(log.epoch),
    seq: row.seq,
    at: row.at,
    kind: wireKind(row.kind),
    from: row.uid,
    ...(row.device !== null && { device: row.device }),
    ...(row.id !== null && { id: row.id }),
    type: row.type,
    body: JSON.parse(row.body),
    ...(row.state !== null && { state: JSON.parse(row.state) as EntryState }),
  }
}
