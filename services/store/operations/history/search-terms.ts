/**
 * Terms of the index that are not of a text: who may see a message, who wrote it, of what type it is. They begin with a
 * private character, which is part of no word.
 */
const MARK = '\ue000'

/** Of a direct conversation: one for each of the two. */
export const personTerm = (account: number): string => `${MARK}p${account}`
export const logTerm = (log: number): string => `${MARK}l${log}`
export const authorTerm = (account: number): string => `${MARK}a${account}`
/** Of a type, without what its grammar has and words have not. */
export const typeTerm = (type: string): string => `${MARK}t${type.replace(/[^a-z0-9]/g, '_')}`
