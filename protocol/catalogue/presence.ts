/** Who is there, and who is watched. */

export const presenceOperations = {} as const
