/**
 * Operations of the admin port that the store answers alone: one function each over a {@link Transaction}, written like
 * those of the catalogue. Their parameters are checked against `protocol/admin/`.
 */
import type { AdminName, AdminParams, AdminResult } from '../../../../protocol/admin/operations.ts'
import type { Transaction } from '../transaction.ts'
import { bannedWordOperations } from './banned-words.ts'
import { botOperations } from './bots.ts'
import { broadcastOperations } from './broadcasts.ts'
import { importOperations } from './import.ts'
import { reportQueueOperations } from './reports.ts'
import { suspensionOperations } from './suspensions.ts'
import { webhookOperations } from './webhooks.ts'

/** The operations of some names. */
export type OperatorOperations<Names extends AdminName> = {
  readonly [Name in Names]: (tx: Transaction, params: AdminParams<Name>) => Promise<AdminResult<Name>>
}

export const OPERATOR_OPERATIONS = {
  ...webhookOperations,
  ...botOperations,
  ...broadcastOperations,
  ...importOperations,
  ...bannedWordOperations,
  ...reportQueueOperations,
  ...suspensionOperations,
} as const satisfies Partial<OperatorOperations<AdminName>>

export type OperatorName = keyof typeof OPERATOR_OPERATIONS
type OperatorCall = { name: string; params: object }

export const operatorTasks = {
  async operate(tx: Transaction, { name, params }: OperatorCall): Promise<unknown> {
    const operations: Partial<Record<string, (tx: Transaction, params: never) => Promise<unknown>>> =
      OPERATOR_OPERATIONS
    return operations[name]!(tx, params as never)
  },
} as const
