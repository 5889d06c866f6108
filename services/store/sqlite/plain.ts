import type { PlainStore } from '../plain.ts'
import type { Operations } from './operations.ts'

export const plainOperations: Operations<PlainStore> = {} as Operations<PlainStore>
