/** Handlers of the admin operations that the store answers alone. */
import type { AdminParams, AdminResult } from '../../protocol/admin/operations.ts'
import type { OperationStore } from '../store/contract.ts'
import { OPERATOR_OPERATIONS, type OperatorName } from '../store/operations/operator/operator.ts'

type OperatorHandlers = {
  readonly [Name in OperatorName]: (params: AdminParams<Name>) => Promise<AdminResult<Name>>
}

export function createOperatorHandlers(store: Pick<OperationStore, 'perform'>): OperatorHandlers {
  const names = Object.keys(OPERATOR_OPERATIONS)
  const handlers = names.map((name) => [
    name,
    (params: object) => store.perform({ task: 'operate', input: { name, params } }),
  ])
  return Object.fromEntries(handlers) as OperatorHandlers
}
