import type { ContactStore } from '../contract.ts'
import type { Operations } from './operations.ts'

export const contactOperations: Operations<ContactStore> = {} as Operations<ContactStore>
