import type { SessionStore } from '../contract.ts'
import type { Operations } from './operations.ts'

export const sessionOperations: Operations<SessionStore> = {} as Operations<SessionStore>
