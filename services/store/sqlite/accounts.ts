import type { AccountStore } from '../contract.ts'
import type { Operations } from './operations.ts'

export const accountOperations: Operations<AccountStore> = {} as Operations<AccountStore>
