/**
 * What can go wrong for a client. A refusal of the server is a {@link WochatError} with a code of the registry; what
 * happens on this side of the wire is a {@link ClientError}.
 */
import { ERRORS, type ErrorBody, type ErrorCode, WochatError } from '../../protocol/errors.ts'

const CLIENT_ERRORS = {
  unreachable: 'The server cannot be reached.',
  disconnected:
    'The connection was lost and the request is not one that may be repeated; its outcome is unknown.',
  timeout: 'No answer came in time; the outcome is unknown. A send may be repeated under the same id.',
  taken_over: 'The same device connected elsewhere.',
  too_many_waiting: 'Too many requests wait for their answer.',
  bad_answer: 'The server answered what is not of the contract.',
  closed: 'The client was closed.',
} as const
type ClientErrorCode = keyof typeof CLIENT_ERRORS

export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode

  constructor(code: ClientErrorCode, message?: string, options: { cause?: unknown } = {}) {
    super(message ?? CLIENT_ERRORS[code], options)
    this.code = code
  }
}

/** The refusal that an answer of the server holds. A code of a newer server shows in the message of `internal`. */
export function readRefusal(value: unknown): WochatError {
  const { code, message, retryAfterMs, details } = (value ?? {}) as Partial<Record<keyof ErrorBody, unknown>>
  const text = typeof message === 'string' ? message : undefined
  if (typeof code !== 'string' || !isErrorCode(code)) {
    return new WochatError('internal', `${String(code)}: ${text ?? 'the server refused'}`)
  }
  return new WochatError(code, text, {
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
    details,
  })
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}

/** Return codes of CONNACK in MQTT 3.1.1, and reason codes of MQTT 5. */
const BY_REASON: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [2, 'bad_request'],
  [3, 'busy'],
  [4, 'unauthenticated'],
  [5, 'revoked'],
  [0x85, 'bad_request'],
  [0x86, 'unauthenticated'],
  [0x87, 'forbidden'],
  [0x88, 'store_away'],
  [0x89, 'busy'],
  [0x8a, 'account_suspended'],
  [0x8b, 'shutting_down'],
  [0x95, 'too_large'],
  [0x97, 'busy'],
  [0x99, 'bad_request'],
  [0x9f, 'rate_limited'],
])

/** The refusal in an acknowledgement: the code in its reason string, else what its reason code is nearest to. */
export function readReason(reason: number, reasonString: string | undefined): WochatError {
  const code = /^[a-z_]+/.exec(reasonString ?? '')?.[0] ?? ''
  if (isErrorCode(code)) return new WochatError(code)
  const nearest = BY_REASON.get(reason)
  if (nearest !== undefined) return new WochatError(nearest, reasonString)
  return new WochatError(
    'internal',
    reasonString ?? `the server refused with reason 0x${reason.toString(16)}`,
  )
}
