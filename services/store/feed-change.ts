/** What both engines keep of a call until its commit, for the feed. */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { ChangeScope } from '../../protocol/reply.ts'
import type { CommitFeed } from './contract.ts'

/** An entry of a call (not of a send). */
export type EntryChange = {
  kind: 'entry'
  log: LogId
  epoch: string
  seq: number
  uid: UserId
  device: DeviceId | null
  /** Not the same for all: each device reads it from the store. */
  isPersonal: boolean
}

/** Anything but an entry: the calls of {@link CommitFeed}. */
export type FeedChange =
  | { kind: 'joined'; log: LogId; uid: UserId; fromSeq: number }
  | { kind: 'left'; log: LogId; uid: UserId; toSeq: number }
  | { kind: 'read'; uid: UserId; log: LogId; seq: number }
  | { kind: 'changed'; uid: UserId; scope: ChangeScope; version: number }
  | { kind: 'loginEnded'; uid: UserId; device: DeviceId | null; sid: string | null }

export function tellChange(feed: CommitFeed, change: FeedChange): void {
  if (change.kind === 'joined') feed.memberJoined(change.log, change.uid, change.fromSeq)
  else if (change.kind === 'left') feed.memberLeft(change.log, change.uid, change.toSeq)
  else if (change.kind === 'read') feed.readMoved(change.uid, change.log, change.seq)
  else if (change.kind === 'changed') feed.stateChanged(change.uid, change.scope, change.version)
  else feed.loginEnded(change.uid, change.device, change.sid)
}
