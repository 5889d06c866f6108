/** What a person says about themselves, and what they set. */

export const profileOperations = {} as const
