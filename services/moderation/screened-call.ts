/** Calls of the store that moderation looks at. */
import type { Params, Result } from '../../protocol/catalogue/catalogue.ts'
import { type ErrorBody, WochatError } from '../../protocol/errors.ts'
import type { OperationStore, StoredCall } from '../store/contract.ts'
import type { StoredName } from '../store/operations/operations.ts'

/**
 * Runs a call with what `screen` leaves of its parameters, or refuses it as `screen` does. A call that took effect before
 * under its requestId gets its first result, whatever moderation would make of it by now.
 */
export function runScreened<Name extends StoredName>(
  store: Pick<OperationStore, 'run'>,
  call: StoredCall<Name>,
  screen: () => Params<Name>,
): Promise<Result<Name>> {
  return store.run({ ...call, screened: screenCall(call.params, screen) })
}

function screenCall<P extends { requestId?: string }>(
  params: P,
  screen: () => P,
): { params: P } | { refusal: ErrorBody } {
  try {
    return { params: screen() }
  } catch (error) {
    if (params.requestId === undefined || !(error instanceof WochatError)) throw error
    return { refusal: error.toWire() }
  }
}
