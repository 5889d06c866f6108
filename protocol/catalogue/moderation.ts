/** Reports of messages and people. */

export const moderationOperations = {} as const
