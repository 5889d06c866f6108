/** What the media service asks of the store beside the operations of the catalogue. */
export const mediaTasks = {} as const
