/**
 * The store: what must not be lost, in the words of the domain.
 *
 * Two engines keep this contract and pass one suite: SQLite in a worker thread (one node) and PostgreSQL (a
 * cluster). It is asynchronous and batched throughout, so that an engine may live in a thread, another process or
 * a database.
 *
 * Promises:
 * - **Durable.** A send that is `accepted` and a call that resolves are on disk; their effects survive `kill -9`.
 * - **Ordered.** Sends and calls of one account, handed to one store object, take effect in the order in which they
 *   were handed in. Its {@link CommitFeed} reports what they did to one log in that order. A store of one process
 *   does more: it keeps the order of all accounts, and reports a commit before the promise of a later call resolves;
 *   docs/adr/0005-cluster.md says what a store that several nodes share offers instead.
 * - **Gap-free.** The entries of a log are numbered from 1 without gaps, under any concurrency.
 * - **Idempotent.** The same (uid, id) with the same content gives the entry it gave first.
 *
 * A refusal is a {@link WochatError}; anything else is a failure of the store.
 */
import type { OperationName, Params, Result } from '../../protocol/catalogue/catalogue.ts'
import type { GapReason } from '../../protocol/entry.ts'
import type { ErrorBody, WochatError } from '../../protocol/errors.ts'
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { SendMarks } from '../../protocol/message-types.ts'
import type { ChangeScope } from '../../protocol/reply.ts'
import type { InspectionStore } from './inspection.ts'
import type { StoredName } from './operations/operations.ts'
import type { StoreTask, TaskName, TaskResult } from './operations/tasks.ts'
import type { PlainStore } from './plain.ts'

/** Who makes a call. `device` is null for a token without one; then nothing counts as "own" of a device. */
export type Caller = { uid: UserId; device: DeviceId | null }

// ---------------------------------------------------------------- sending

/**
 * A message to be committed. The caller allocates it once; the store hands it back decided, in the order of
 * `send` calls, by exactly one of the two methods.
 */
export interface SendJob {
  readonly uid: UserId
  readonly device: DeviceId | null
  readonly id: string | null
  readonly log: LogId
  /** Of a direct log: the other person. */
  readonly peer: UserId | null
  readonly type: string
  readonly bodyJson: string
  /** What it asks for beside being stored; null for nearly every message. */
  readonly marks: SendMarks | null
  /**
   * Committed now, or by an earlier send of the same id. Of a transient message, which is not stored: `seq` is
   * {@link TRANSIENT} when it may go out, {@link TO_NOBODY} when its sender is not to know that nobody gets it, and
   * {@link OF_VISITOR} when it may go out if its sender has a seat in the room.
   */
  accepted(seq: number, at: number): void
  refused(error: WochatError): void
}

export const TRANSIENT = 0
export const TO_NOBODY = -1
export const OF_VISITOR = -2

/** A committed entry, ready for the wire: `bytes[start, end)` is its JSON in UTF-8. Valid during the call only, unless `bytes` is kept. */
export type CommittedEntry = {
  log: LogId
  epoch: string
  seq: number
  uid: UserId
  device: DeviceId | null
  /** Only its author sees it. */
  withheld: boolean
  bytes: Buffer
  start: number
  end: number
}

/**
 * What the commits of this store bring about, in their order: the doorbell of one node. A change of an audience
 * comes before the entry that lets a member in, and after the entry that lets one out.
 */
export interface CommitFeed {
  entryCommitted(entry: CommittedEntry): void
  /** An entry was committed that is not the same for all, up to `head`: each device reads it from the store. */
  logGrew(log: LogId, epoch: string, head: number): void
  memberJoined(log: LogId, uid: UserId, fromSeq: number): void
  memberLeft(log: LogId, uid: UserId, toSeq: number): void
  readMoved(uid: UserId, log: LogId, seq: number): void
  /** Something of a person's own has changed, up to this version. */
  stateChanged(uid: UserId, scope: ChangeScope, version: number): void
  /**
   * A login or a whole device was ended: its live connections must go. `sid` null: every connection of the device;
   * `device` null: every connection of the user, whose sessions stay.
   */
  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void
}

// ---------------------------------------------------------------- accounts and logins

export type LoginDevice = { id: DeviceId; kind: string; name: string }

export interface AccountStore {
  /** Writes a login code (hash only), within the caps on codes per phone and per address and window. */
  recordCode(input: {
    phone: string
    codeHash: string
    expiresAt: number
    address: string
    perPhoneMax: number
    perAddressMax: number
    windowMs: number
  }): Promise<{ taken: true } | { taken: false; retryAfterMs: number }>
  /**
   * Takes a code and begins a login; the first login of a phone makes the account. A refused uid leaves the code
   * usable. A code that is not right is a result, not a refusal, because its try is counted.
   */
  login(input: {
    phone: string
    codeHash: string
    triesMax: number
    uid: UserId | null
    /** Used when the phone has no account yet and no uid was chosen. */
    newUid: UserId
    device: LoginDevice
    devicesMax: number
    sid: string
    refreshHash: string
    refreshExpiresAt: number
  }): Promise<{ uid: UserId } | { refused: 'bad_code' }>
  /** Changes a refresh token; refuses `bad_refresh`. An old one ends the login, and the feed says `loginEnded`. */
  refresh(input: {
    sid: string
    refreshHash: string
    nextHash: string
    nextExpiresAt: number
  }): Promise<{ uid: UserId; device: DeviceId } | { refused: 'refresh_reused' }>
  /** Ends one login and the MQTT session of its device. */
  endLogin(input: { uid: UserId; sid: string }): Promise<void>
  devices(uid: UserId): Promise<Omit<Result<'auth.devices'>['devices'][number], 'current'>[]>
  /** Ends every login and session of a device, and every token of it that was issued until now. */
  revokeDevice(input: { uid: UserId; device: DeviceId }): Promise<void>
  /**
   * Whether a token's login still stands; makes the account of a trusted issuer's user. Refuses with `revoked`.
   * `issuedAt` in ms.
   */
  checkLogin(input: {
    uid: UserId
    device: DeviceId | null
    sid: string | null
    issuedAt: number
  }): Promise<void>
}

// ---------------------------------------------------------------- MQTT sessions and inboxes

export type SessionSubscriptions = {
  /** Granted QoS of the inbox, or null. */
  inbox: 0 | 1 | null
  reply: boolean
  live: boolean
}

export type OpenedSession = {
  /** The store's number of a persistent session; null for a clean one, which lives in memory. */
  session: number | null
  /** Raised by every takeover; writes of an older generation are ignored. */
  generation: number
  present: boolean
  subscriptions: SessionSubscriptions
  /** Plain subscriptions or stored plain messages wait for this session: attach the engine at once. */
  plain: boolean
}

/** Entries up to `to` that a device is not sent, and why. */
export type MissingEntries = { to: number; reason: GapReason }

/** A log that has something for a device. The cursor is the last acknowledged seq; a gap begins right after it. */
export type BehindLog = {
  log: LogId
  epoch: string
  cursor: number
  head: number
  gap: MissingEntries | null
}

/** Where a session of a user stands when its inbox starts. */
export type InboxState = {
  /**
   * Heads of logs at this commit: of the groups that the user is in now, which are the audience that this node must
   * know, and in a store that nodes share also of other logs where these are few.
   */
  heads: { log: LogId; epoch: string; head: number }[]
  /** Of this commit, by the store's clock, ms: what a session without stored cursors has not seen is later. */
  startedAt: number
  behind: BehindLog[]
  /** Sum of head - cursor over `behind`. */
  pending: number
}

export type DrainRequest = { log: LogId; after: number }

/**
 * Entries of one log for one device. Every seq in (after, through] is either in `seqs` or is not for this device
 * (its own entry, or outside its windows), so that the cursor may pass it.
 */
export type DrainPage = {
  log: LogId
  epoch: string
  after: number
  through: number
  /** The last seq that this user may get at the time of the read. */
  head: number
  seqs: number[]
  /** End of each entry's JSON in the shared `bytes`; an entry starts where the one before ends. */
  ends: number[]
  /** `after`+1 up to here is missing, and a gap must say so. */
  gap: MissingEntries | null
}

export interface SessionStore {
  /**
   * CONNECT of a device whose token is verified: makes account and device where new, refuses `revoked` and
   * `too_many_devices`, ends or resumes the stored session and fences the one that held it.
   */
  openSession(input: {
    clientId: ClientId
    uid: UserId
    device: DeviceId
    sid: string | null
    issuedAt: number
    cleanStart: boolean
    /** The session outlives the connection. */
    persistent: boolean
    devicesMax: number
  }): Promise<OpenedSession>
  /** The connection is gone; the session stays until `expiresAt` (ms), or ends at once with null. */
  closeSession(input: {
    clientId: ClientId
    session: number
    generation: number
    expiresAt: number | null
  }): Promise<void>
  /** Keeps the subscriptions of a persistent session. */
  saveSubscriptions(input: {
    session: number
    generation: number
    subscriptions: SessionSubscriptions
  }): Promise<void>
  /**
   * Where the inbox of a session starts. The first time (and always without a stored session) the heads of this
   * commit are its cursors and nothing waits. Else what waits since the cursors; a log with more than `backlogMax`
   * entries to send begins later, with a gap.
   */
  startInbox(input: {
    uid: UserId
    session: number | null
    generation: number
    backlogMax: number
  }): Promise<InboxState>
  /** Entries after a position, from several logs in turn, up to a number and a size in all (always one, if there is one). */
  drain(input: {
    uid: UserId
    device: DeviceId | null
    requests: DrainRequest[]
    entriesMax: number
    bytesMax: number
  }): Promise<{ pages: DrainPage[]; bytes: Buffer }>
  /** Moves cursors; never back, never for an older generation. */
  saveCursors(
    cursors: { session: number; generation: number; log: LogId; seq: number; epoch: string }[],
  ): Promise<void>
  /**
   * Sessions that a process which died left connected end at `expiresAt` (ms) unless they come back. `except`: the
   * nodes that live; a store of one process has none at its start.
   */
  adoptSessions(input: { expiresAt: number; except: readonly string[] }): Promise<void>
  /** Ends sessions whose time has come; returns their client ids. */
  expireSessions(): Promise<ClientId[]>
}

// ---------------------------------------------------------------- people, groups, conversations

/** A call of an operation that the store answers alone; `params` are checked against the catalogue. */
export type StoredCall<Name extends OperationName = OperationName> = {
  name: Name
  caller: Caller
  /** As the caller gave them: by these a call that is repeated is known. */
  params: Params<Name>
  /** What moderation makes of the call, if it took no effect before: it runs with other parameters, or is refused. */
  screened?: { params: Params<Name> } | { refusal: ErrorBody }
}

export interface OperationStore {
  /** Runs an operation in one transaction; a mutating one with a `requestId` takes effect once. */
  run<Name extends StoredName>(call: StoredCall<Name>): Promise<Result<Name>>
  /** As {@link run}, with the result as JSON text: a large one need not be copied object by object to where it is sent. */
  runAsText(call: StoredCall<StoredName>): Promise<string>
  /** Runs a task of the server itself in one transaction; its order to calls of an account is not kept. */
  perform<Name extends TaskName>(task: StoreTask<Name>): Promise<TaskResult<Name>>
}

// ---------------------------------------------------------------- the store

export type StoreHealth = { writable: boolean; reason: string | null; diskFreeBytes: number }

/** Figures of the commit path, since the start. */
export type StoreMetrics = {
  commits: number
  entries: number
  /** Sends that wait for a commit now. */
  waiting: number
  /** Called once per commit: sends in it, and ms from hand-over to durable. */
  onCommit: ((sends: number, ms: number) => void) | null
}

export interface Store
  extends AccountStore,
    SessionStore,
    OperationStore,
    PlainStore,
    InspectionStore,
    AsyncDisposable {
  /** Hands a message to the next commit. Never throws; a store that cannot take it refuses the job. */
  send(job: SendJob): void
  /** Who hears of commits; set once, before the first send. */
  feed: CommitFeed
  readonly metrics: StoreMetrics
  health(): Promise<StoreHealth>
}
