/** What an operator asks of the store: reads only, bounded, and never the content of a message. */
import type { EntryFacts, ReaderRow, StoredSession } from '../../protocol/admin/rows.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'

export type InspectedDevice = { device: DeviceId; session: StoredSession | null }

export interface InspectionStore {
  /** The devices of an account, and what waits for each stored session; null when there is no such account. */
  inspectDevices(uid: UserId): Promise<InspectedDevice[] | null>
  /** Refuses `unknown_log` and `unknown_entry`. */
  inspectEntry(input: { log: LogId; seq: number }): Promise<EntryFacts>
  /**
   * The devices of `membersMax` members of now who may see the entry, in the order in which they joined. `cursor` is
   * the one of the page before; refuses another one as `bad_request`.
   */
  inspectReaders(input: {
    log: LogId
    seq: number
    membersMax: number
    cursor: string | null
  }): Promise<{ readers: ReaderRow[]; cursor: string | null }>
}
