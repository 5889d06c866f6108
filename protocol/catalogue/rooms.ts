/** Open rooms. */

export const roomsOperations = {} as const
