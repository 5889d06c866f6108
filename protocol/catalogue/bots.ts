/** Accounts of programs. */

export const botsOperations = {} as const
