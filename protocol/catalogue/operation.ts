/** What an operation of the catalogue is. Each is defined once and served over HTTP, MQTT and the command line. */
import { type Static, type TObject, type TSchema, Type } from 'typebox'
import type { ErrorCode } from '../errors.ts'
import { DEVICE_ID_PATTERN, GROUP_LOG_PATTERN, LOG_PATTERN, UID_PATTERN } from '../ids.ts'
import { CALL_USERS_MAX, CLIENT_ID_CHARS_MAX } from '../limits.ts'

/**
 * Classes of calls that an account may make less often than others, all operations of a class together; the operator
 * sets the limits. `costly`: a search, the begin of an upload. `rare`: what reads or changes everything of an account.
 */
type RateClass = 'normal' | 'costly' | 'rare'

export type Operation<Params extends TObject = TObject, Result extends TSchema = TSchema> = {
  readonly summary: string
  /** `public` needs no token; `user` needs one of the account. */
  readonly access: 'public' | 'user'
  /** A mutating call is acknowledged after its effect is committed, and takes a `requestId` for idempotency. */
  readonly mutating: boolean
  /** How often an account may call it: see {@link RateClass}. Without one: as often as anything. */
  readonly rate?: RateClass
  readonly params: Params
  readonly result: Result
  /** Refusals of its own, beside those that every operation may give ({@link COMMON_ERRORS}). */
  readonly errors: readonly ErrorCode[]
}

export const COMMON_ERRORS = [
  'bad_json',
  'bad_request',
  'too_deep',
  'too_large',
  'unauthenticated',
  'revoked',
  'account_suspended',
  'rate_limited',
  'busy',
  'store_away',
  'store_full',
  'shutting_down',
  'internal',
] as const satisfies readonly ErrorCode[]

type Definition<Params extends TObject, Result extends TSchema> = Omit<
  Operation<Params, Result>,
  'params'
> & {
  readonly params: Params
}

/**
 * Keeps the static types of one definition; the schemas themselves are plain JSON Schema. Whatever takes a
 * {@link RequestId} may refuse one under which the caller made another call.
 */
export function operation<Params extends TObject, Result extends TSchema>(
  definition: Definition<Params, Result>,
): Operation<Params, Result> {
  const { errors, params } = definition
  if (params.properties.requestId !== RequestId) return definition
  return { ...definition, errors: [...errors, 'id_conflict'] }
}

/** An object that refuses unknown fields: what requests are. */
export function request<const P extends Record<string, TSchema>>(properties: P) {
  return Type.Object(properties, { additionalProperties: false })
}

export const Uid = Type.String({ pattern: UID_PATTERN, description: 'An account.' })
export const DeviceIdSchema = Type.String({
  pattern: DEVICE_ID_PATTERN,
  description: 'A device of the account.',
})
export const Log = Type.String({
  pattern: LOG_PATTERN,
  description: 'A conversation: `d:{a}:{b}`, `g:{id}` or `n:{uid}`.',
})
export const GroupId = Type.String({ pattern: GROUP_LOG_PATTERN, description: 'A group, `g:...`.' })
export const Uids = Type.Array(Uid, { minItems: 1, maxItems: CALL_USERS_MAX, uniqueItems: true })
export const RequestId = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: CLIENT_ID_CHARS_MAX,
    description:
      'Idempotency: a call repeated under the same id takes effect once and has the same result, for a week. Another call under it is refused.',
  }),
)
export const Seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
export const Empty = Type.Object({})

export type ParamsOf<O> = O extends Operation<infer P, TSchema> ? Static<P> : never
export type ResultOf<O> = O extends Operation<TObject, infer R> ? Static<R> : never
