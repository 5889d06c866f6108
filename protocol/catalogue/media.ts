/** Files that messages carry. */

export const mediaOperations = {} as const
