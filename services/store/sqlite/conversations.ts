import type { ConversationStore } from '../contract.ts'
import type { Operations } from './operations.ts'

export const conversationOperations: Operations<ConversationStore> = {} as Operations<ConversationStore>
