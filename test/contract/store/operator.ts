/** Admin operations that the store answers alone, as the admin port asks for them. */
import { type AdminParams, type AdminResult, parseAdminParams } from '../../../protocol/admin/operations.ts'
import type { Store } from '../../../services/store/contract.ts'
import type { OperatorName } from '../../../services/store/operations/operator/operator.ts'

export function operate<Name extends OperatorName>(
  store: Pick<Store, 'perform'>,
  name: Name,
  params: AdminParams<Name>,
): Promise<AdminResult<Name>> {
  const input = { name, params: parseAdminParams(name, params) }
  return store.perform({ task: 'operate', input }) as Promise<AdminResult<Name>>
}
