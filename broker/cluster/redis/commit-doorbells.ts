/** What the commits of this node bring about, on its way to the others. */
import { type DeviceId, type LogId, logKind, peopleOf, type UserId } from '../../../protocol/ids.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { CommitFeed, CommittedEntry } from '../../../services/store/contract.ts'
import { encodeFrame, writeEntry, writeFrame } from '../frame.ts'
import { FrameWriter } from '../frame-writer.ts'
import type { DoorbellBatches } from './doorbell-batches.ts'
import type { RoutedDoorbells } from './routed-doorbells.ts'

export class CommitDoorbells implements CommitFeed {
  readonly #doorbells: DoorbellBatches
  readonly #routed: RoutedDoorbells
  readonly #append: (log: LogId, frame: Buffer) => void
  readonly #scratch = new FrameWriter()

  constructor(
    doorbells: DoorbellBatches,
    routed: RoutedDoorbells,
    append: (log: LogId, frame: Buffer) => void,
  ) {
    this.#doorbells = doorbells
    this.#routed = routed
    this.#append = append
  }

  entryCommitted(entry: CommittedEntry): void {
    this.#ring(entry.log, (writer) => writeEntry(writer, entry))
  }

  logGrew(log: LogId, epoch: string, head: number): void {
    this.#ring(log, (writer) => writeFrame(writer, { kind: 'grew', log, epoch, head }))
  }

  #ring(log: LogId, write: (writer: FrameWriter) => void): void {
    if (logKind(log) === 'group') {
      this.#scratch.at = 0
      write(this.#scratch)
      this.#append(log, this.#scratch.copyFrom(0))
      return
    }
    const [uid, other] = peopleOf(log)
    this.#routed.ring(write, uid!, other ?? null)
  }

  memberJoined(log: LogId, uid: UserId, fromSeq: number): void {
    this.#routed.ring((writer) => writeFrame(writer, { kind: 'joined', log, uid, fromSeq }), uid, null)
  }

  memberLeft(log: LogId, uid: UserId, toSeq: number): void {
    this.#routed.ring((writer) => writeFrame(writer, { kind: 'left', log, uid, toSeq }), uid, null)
  }

  readMoved(uid: UserId, log: LogId, seq: number): void {
    this.#routed.ring((writer) => writeFrame(writer, { kind: 'read', uid, log, seq }), uid, null)
  }

  stateChanged(uid: UserId, scope: ChangeScope, version: number): void {
    this.#routed.ring((writer) => writeFrame(writer, { kind: 'changed', uid, scope, version }), uid, null)
  }

  /** A device of the user may be on its way to any node, so that all hear it. */
  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.#doorbells.ringAll(encodeFrame({ kind: 'loginEnded', uid, device, sid }))
  }
}
