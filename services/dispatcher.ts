/** How a call of the catalogue reaches its service, from MQTT and from HTTP alike. */
import type { Logger } from 'pino'
import {
  CATALOGUE,
  findOperation,
  type OperationName,
  type Params,
  type Result,
} from '../protocol/catalogue/catalogue.ts'
import { asWochatError, WochatError } from '../protocol/errors.ts'
import type { DeviceId } from '../protocol/ids.ts'
import type { JsonText } from '../protocol/json-text.ts'
import { parseParams } from '../protocol/validate.ts'
import { addressKey } from './address-key.ts'
import type { VerifiedToken } from './auth/token.ts'
import type { LiveListener } from './presence/ports.ts'
import { type CallLimiter, type RateLimit, RateLimiter } from './rate-limiter.ts'
import type { AccountStore, Caller } from './store/contract.ts'

export type CallContext = {
  /** Null for a call without a token; only `public` operations take it. */
  token: VerifiedToken | null
  /** The device of the MQTT connection, or of the token; null when neither names one. */
  device: DeviceId | null
  /** Peer address, for caps. */
  address: string
  /** The MQTT connection that the call came over, for what lasts as long as it. */
  live?: LiveListener | null
}

export interface Dispatcher {
  /**
   * Checks name, access and parameters, runs the operation and resolves with its result, or a {@link JsonText} of it.
   * Rejects with a `WochatError`; a failure of ours is `internal` and is logged.
   */
  call(name: string, params: unknown, context: CallContext): Promise<unknown>
}

/** Runs one operation. Its parameters are checked; of a `user` operation the token is there and its login stands. */
export type Handler<Name extends OperationName> = (
  params: Params<Name>,
  context: CallContext,
) => Promise<Result<Name>>

/** A {@link Handler} whose result comes as the text that is sent. */
export type TextHandler<Name extends OperationName> = (
  params: Params<Name>,
  context: CallContext,
) => Promise<JsonText>

/** A handler for every operation of the catalogue, so that none can be forgotten. */
export type Handlers = { readonly [Name in OperationName]: Handler<Name> | TextHandler<Name> }

/** The handlers of some operations: `HandlersOf<'contacts.'>`. */
export type HandlersOf<Prefix extends string> = {
  readonly [Name in Extract<OperationName, `${Prefix}${string}`>]: Handler<Name>
}

export type DispatcherLimits = {
  /** Calls of one account. */
  account: RateLimit
  /** Calls from one address (of IPv6: from one /64), with a token or without. */
  address: RateLimit
  /** Calls of one account of the class `costly` in all, and so on; they count for `account` too. */
  costly: RateLimit
  rare: RateLimit
}

export type DispatcherParts = {
  handlers: Handlers
  store: Pick<AccountStore, 'checkLogin'>
  limits: DispatcherLimits
  /** Nodes that share their limits bring a limiter that counts over all of them. */
  createLimiter?: (name: keyof DispatcherLimits, limit: RateLimit) => CallLimiter
  log: Pick<Logger, 'error'>
}

export function createDispatcher({
  handlers,
  store,
  limits,
  createLimiter = (_, limit) => new RateLimiter(limit),
  log,
}: DispatcherParts): Dispatcher {
  const accounts = createLimiter('account', limits.account)
  const addresses = createLimiter('address', limits.address)
  const classes = { costly: createLimiter('costly', limits.costly), rare: createLimiter('rare', limits.rare) }

  async function run(name: string, params: unknown, context: CallContext): Promise<unknown> {
    const operation = findOperation(name)
    if (operation === undefined) throw new WochatError('unknown_operation')
    await take(addresses, addressKey(context.address))
    if (operation.access === 'user') {
      const { token } = context
      if (token === null) throw new WochatError('unauthenticated')
      await take(accounts, token.uid)
    }
    const checked = parseParams(name as OperationName, params)
    if (operation.access === 'user') {
      await assertLoginStands(context)
      const rate = operation.rate ?? 'normal'
      if (rate !== 'normal') await take(classes[rate], context.token!.uid)
    }
    // The name is the handler's own: `Handlers` has every operation with its type.
    return (handlers[name as OperationName] as Handler<OperationName>)(checked, context)
  }

  async function assertLoginStands(context: CallContext): Promise<void> {
    const { uid, device, sid, issuedAt } = context.token!
    await store.checkLogin({ uid, device: device ?? context.device, sid, issuedAt })
  }

  return {
    async call(name, params, context) {
      try {
        return await run(name, params, context)
      } catch (error) {
        const refusal = asWochatError(error)
        if (refusal.code === 'internal') {
          log.error({ op: knownName(name), err: refusal.cause ?? refusal }, 'a call failed')
        }
        throw refusal
      }
    },
  }
}

/** Who calls a `user` operation, as the store takes it. */
export function callerOf(context: CallContext): Caller {
  if (context.token === null) throw new WochatError('unauthenticated')
  return { uid: context.token.uid, device: context.device }
}

async function take(limiter: CallLimiter, key: string): Promise<void> {
  const retryAfterMs = await limiter.take(key)
  if (retryAfterMs > 0) throw new WochatError('rate_limited', undefined, { retryAfterMs })
}

/** A name from outside is not written to a log. */
function knownName(name: string): string {
  return Object.hasOwn(CATALOGUE, name) ? name : 'unknown'
}
