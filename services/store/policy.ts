/** What an operator decides about people and conversations: read by the operations of the store, the same in both engines. */
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const MB = 1024 * 1024

export type StorePolicy = {
  /** Strangers cannot write to each other. */
  contactsRequired: boolean
  /** Friends, open requests and blocks of one account. */
  contactsMax: number
  /** After a refusal, how long the same person cannot ask again, ms. */
  requestCooldownMs: number
  /** Members of one group. */
  groupMembersMax: number
  /** Members of one open room. */
  roomMembersMax: number
  /** Age up to which a message may be edited, ms; 0 is no limit. */
  editWindowMs: number
  /** Age up to which a message may be recalled by its author, ms; 0 is no limit. */
  recallWindowMs: number
  /** Members of the largest group that says who has read a message. */
  receiptMembersMax: number
  /** Bytes of the largest file. */
  mediaBytesMax: number
  /** Bytes of all files of one account; 0 is no limit. */
  mediaQuotaBytes: number
  /** Bytes of every part of an upload but the last. */
  mediaPartBytes: number
  /** Unfinished uploads of one account. */
  mediaUploadsMax: number
}

/** What a store is opened with where no operator says otherwise; the defaults of the configuration are the same. */
export const DEFAULT_POLICY: StorePolicy = {
  contactsRequired: true,
  contactsMax: 5000,
  requestCooldownMs: DAY,
  groupMembersMax: 2000,
  roomMembersMax: 100_000,
  editWindowMs: 48 * HOUR,
  recallWindowMs: 2 * MINUTE,
  receiptMembersMax: 500,
  mediaBytesMax: 100 * MB,
  mediaQuotaBytes: 1024 * MB,
  mediaPartBytes: MB,
  mediaUploadsMax: 8,
}
