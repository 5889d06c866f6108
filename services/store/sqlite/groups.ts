import type { GroupStore } from '../contract.ts'
import type { Operations } from './operations.ts'

export const groupOperations: Operations<GroupStore> = {} as Operations<GroupStore>
