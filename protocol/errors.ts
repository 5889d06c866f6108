/**
 * The error registry: one table for MQTT, HTTP and the command line.
 *
 * The code is the contract, the text is not. A `refused` reply, an HTTP error body and an MQTT 5 reason string
 * all carry the code. On MQTT 3.1.1 a refused send or call is acknowledged and answered on the reply topic when
 * the refusal is final; a retryable one is not acknowledged and the connection closes after the reply, so that a
 * stock client sends again (design: section 3).
 */

type Row = {
  /** HTTP status of the error body. */
  readonly http: number
  /** Reason code of an MQTT 5 PUBACK or PUBREC, out of those that these may carry [MQTT-3.4.2-1]. */
  readonly reason: number
  /** The same request may succeed later without being changed. */
  readonly retryable: boolean
  readonly meaning: string
}

const final = (http: number, reason: number, meaning: string): Row => ({
  http,
  reason,
  retryable: false,
  meaning,
})
const retry = (http: number, reason: number, meaning: string): Row => ({
  http,
  reason,
  retryable: true,
  meaning,
})

const NOT_AUTHORIZED = 0x87
const UNSPECIFIED = 0x80
const IMPLEMENTATION = 0x83
const TOPIC_INVALID = 0x90
const QUOTA = 0x97
const PAYLOAD_INVALID = 0x99

export const ERRORS = {
  // The request itself
  bad_json: final(400, PAYLOAD_INVALID, 'The payload is not a JSON object in UTF-8.'),
  bad_request: final(
    400,
    PAYLOAD_INVALID,
    'A field is missing, unknown, of the wrong type or out of bounds.',
  ),
  too_deep: final(400, PAYLOAD_INVALID, 'The JSON is nested deeper than the limit.'),
  too_large: final(413, QUOTA, 'The payload is larger than the limit.'),
  unknown_operation: final(404, TOPIC_INVALID, 'There is no operation of this name.'),
  method_not_allowed: final(405, TOPIC_INVALID, 'Over HTTP, operations are called by POST.'),
  topic_denied: final(403, NOT_AUTHORIZED, 'This topic may not be published or subscribed by this client.'),
  id_conflict: final(409, UNSPECIFIED, 'Another content was already sent under this id.'),
  // Who is asking
  unauthenticated: final(401, NOT_AUTHORIZED, 'The token is missing, malformed, expired or not trusted.'),
  revoked: final(401, NOT_AUTHORIZED, 'The login or the device of this token was ended.'),
  account_suspended: final(
    403,
    NOT_AUTHORIZED,
    'The operator suspended the account; details.until says until when, if it ends.',
  ),
  forbidden: final(403, NOT_AUTHORIZED, 'The caller may not do this.'),
  device_required: final(403, NOT_AUTHORIZED, 'The operation needs a token that is bound to a device.'),
  // Login
  bad_phone: final(400, PAYLOAD_INVALID, 'The phone number is not in the international form +<digits>.'),
  bad_code: final(401, NOT_AUTHORIZED, 'The code is wrong, expired or was used.'),
  bad_refresh: final(401, NOT_AUTHORIZED, 'The refresh token is unknown, expired or was ended.'),
  refresh_reused: final(401, NOT_AUTHORIZED, 'An old refresh token was used again; the login was ended.'),
  uid_taken: final(409, UNSPECIFIED, 'The uid belongs to somebody else.'),
  uid_fixed: final(409, UNSPECIFIED, 'This phone already has an account with another uid.'),
  sms_failed: retry(502, IMPLEMENTATION, 'The SMS provider did not take the message.'),
  too_many_devices: final(409, QUOTA, 'The account has as many devices as allowed; revoke one first.'),
  // People and groups
  unknown_user: final(404, NOT_AUTHORIZED, 'There is no such user.'),
  not_friends: final(403, NOT_AUTHORIZED, 'The two are not friends, and this server asks for that.'),
  blocked: final(403, NOT_AUTHORIZED, 'The receiver does not take messages or requests from the sender.'),
  requests_closed: final(403, NOT_AUTHORIZED, 'The receiver takes no contact requests from the caller.'),
  request_refused: final(
    403,
    NOT_AUTHORIZED,
    'A request was refused not long ago; ask again after retryAfterMs.',
  ),
  not_a_contact: final(404, NOT_AUTHORIZED, 'The user is not on the list of the caller.'),
  no_request: final(409, UNSPECIFIED, 'There is no open contact request from this user.'),
  unknown_group: final(404, NOT_AUTHORIZED, 'There is no such group, or the caller is not a member of it.'),
  not_member: final(403, NOT_AUTHORIZED, 'The caller is not a member of the group.'),
  not_owner: final(403, NOT_AUTHORIZED, 'Only the owner of the group may do this.'),
  banned: final(403, NOT_AUTHORIZED, 'The group has banned the user.'),
  link_ended: final(404, NOT_AUTHORIZED, 'There is no such link, it was ended, or its time is over.'),
  link_used_up: final(409, NOT_AUTHORIZED, 'The link was used as often as it may be.'),
  no_join_request: final(409, UNSPECIFIED, 'This user does not wait to join the group.'),
  too_many_admins: final(409, QUOTA, 'The group has as many admins as allowed.'),
  too_many_bans: final(409, QUOTA, 'The group has as many bans as allowed; end some first.'),
  too_many_links: final(409, QUOTA, 'The group has as many links as allowed; end one first.'),
  too_many_requests: final(409, QUOTA, 'As many people as allowed wait to join the group.'),
  users_refused: final(409, NOT_AUTHORIZED, 'Some of the users cannot be added; details lists them.'),
  too_many_members: final(409, QUOTA, 'The group would exceed its size limit.'),
  too_many_contacts: final(409, QUOTA, 'The account has as many contacts or open requests as allowed.'),
  unknown_log: final(404, NOT_AUTHORIZED, 'There is no such conversation, or the caller cannot see it.'),
  receipts_off: final(403, NOT_AUTHORIZED, 'The group is too large to say who has read a message.'),
  // Messages
  muted: final(
    403,
    NOT_AUTHORIZED,
    'The sender, or the whole group, may not write at the moment; of operations, details.of says which of the two (`member`, `group`), details.until when it ends.',
  ),
  not_admin: final(403, NOT_AUTHORIZED, 'Only admins of the group may do this.'),
  transient_only: final(409, NOT_AUTHORIZED, 'The room keeps no messages: send with transient set.'),
  account_inactive: final(
    403,
    NOT_AUTHORIZED,
    'The account of the receiver, or of whom an operator sends for, was deactivated or erased.',
  ),
  unknown_schedule: final(404, UNSPECIFIED, 'No message of the caller is planned under this id.'),
  too_many_scheduled: final(409, QUOTA, 'As many messages are planned as one account may have.'),
  recalled: final(
    409,
    UNSPECIFIED,
    'The message has no content any more: it was recalled, or its time is over.',
  ),
  not_author: final(403, NOT_AUTHORIZED, 'Only the author of the message may do this.'),
  too_late: final(
    409,
    UNSPECIFIED,
    'The message is older than the rules of this server allow for this, which is details.windowMs.',
  ),
  edit_conflict: final(
    409,
    UNSPECIFIED,
    'The message was edited since; details.count says how often in all.',
  ),
  too_many_reactions: final(409, QUOTA, 'The message has as many different reactions as allowed.'),
  too_many_pins: final(409, QUOTA, 'The conversation has as many pinned messages as allowed.'),
  // Files
  unknown_media: final(404, NOT_AUTHORIZED, 'There is no such file, or the caller cannot see it.'),
  media_incomplete: final(409, UNSPECIFIED, 'Parts of the file are missing; details lists them.'),
  media_mismatch: final(
    409,
    PAYLOAD_INVALID,
    'The bytes do not have the declared SHA-256; all parts are to be sent again.',
  ),
  media_refused: final(
    422,
    PAYLOAD_INVALID,
    'The file is not of the kind that was declared, or an image of more pixels than allowed.',
  ),
  media_in_use: final(409, UNSPECIFIED, 'A message, a profile or a group still shows the file.'),
  media_quota: final(409, QUOTA, 'The files of the account would exceed its quota.'),
  too_many_uploads: final(409, QUOTA, 'The account has as many unfinished uploads as allowed.'),
  media_off: final(501, IMPLEMENTATION, 'This server is not set up to keep files.'),
  bad_range: final(416, PAYLOAD_INVALID, 'The asked range lies outside of the file.'),
  // What is live
  connection_required: final(
    409,
    UNSPECIFIED,
    'The operation lasts as long as an MQTT connection: call it over one.',
  ),
  too_many_watches: final(409, QUOTA, 'The connection watches as many people as allowed.'),
  // Moderation
  content_refused: final(403, NOT_AUTHORIZED, 'What was written was refused for what it says.'),
  screening_away: retry(503, IMPLEMENTATION, 'The service that screens messages did not answer.'),
  unknown_report: final(404, UNSPECIFIED, 'There is no report of this number.'),
  report_decided: final(409, UNSPECIFIED, 'The report was decided before.'),
  too_many_words: final(409, QUOTA, 'The list of words would exceed its size limit.'),
  // Operating
  unknown_node: final(404, UNSPECIFIED, 'No living node has this id, or several have this name.'),
  unknown_entry: final(
    404,
    UNSPECIFIED,
    'The log has no entry of this number, or does not keep it any more.',
  ),
  unknown_webhook: final(404, UNSPECIFIED, 'There is no webhook of this id.'),
  too_many_webhooks: final(409, QUOTA, 'There are as many webhooks as allowed.'),
  unknown_key: final(404, UNSPECIFIED, 'There is no API key of this id.'),
  too_many_keys: final(409, QUOTA, 'The bot has as many keys as allowed; end one first.'),
  not_a_bot: final(409, UNSPECIFIED, 'There is no bot of this uid.'),
  not_a_system_account: final(409, UNSPECIFIED, 'There is no system account of this uid.'),
  unknown_broadcast: final(404, UNSPECIFIED, 'There is no broadcast of this id.'),
  too_many_broadcasts: final(409, QUOTA, 'As many broadcasts run as allowed; wait for one, or stop it.'),
  not_in_order: final(
    409,
    UNSPECIFIED,
    'The messages are not in the order of their times, or not later than what the log has.',
  ),
  node_away: retry(503, IMPLEMENTATION, 'The node did not answer in time.'),
  // Load and stores
  rate_limited: retry(429, QUOTA, 'Too many requests; wait for retryAfterMs.'),
  busy: retry(503, QUOTA, 'The server takes no more work at the moment.'),
  store_away: retry(503, IMPLEMENTATION, 'The store cannot be reached.'),
  store_full: retry(507, QUOTA, 'The disk of the store is full.'),
  shutting_down: retry(503, IMPLEMENTATION, 'The server is stopping; connect again.'),
  internal: final(500, UNSPECIFIED, 'The server failed; the failure was logged.'),
} as const satisfies Record<string, Row>

export type ErrorCode = keyof typeof ERRORS

export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[]

export type ErrorBody = {
  code: ErrorCode
  message: string
  retryAfterMs?: number
  /** What exactly was refused, e.g. `{"users": [{"uid": "eve", "code": "not_friends"}]}`. */
  details?: unknown
}

/** A refusal by code, thrown anywhere below the wire and answered on it. The message never holds a token or a payload. */
export class WochatError extends Error {
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined
  readonly details: unknown

  constructor(
    code: ErrorCode,
    message?: string,
    options: { retryAfterMs?: number; details?: unknown; cause?: unknown } = {},
  ) {
    super(message ?? ERRORS[code].meaning, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'WochatError'
    this.code = code
    this.retryAfterMs = options.retryAfterMs
    this.details = options.details
  }

  static fromWire({ code, message, ...options }: ErrorBody): WochatError {
    return new WochatError(code, message, options)
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }

  toWire(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.retryAfterMs !== undefined && { retryAfterMs: this.retryAfterMs }),
      ...(this.details !== undefined && { details: this.details }),
    }
  }
}

/** Any thrown value as a refusal; what is not ours becomes `internal` and keeps its cause for the log. */
export function asWochatError(error: unknown): WochatError {
  return error instanceof WochatError ? error : new WochatError('internal', undefined, { cause: error })
}
