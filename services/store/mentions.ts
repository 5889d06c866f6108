/** In the place of an account in the table of mentions: all members. */
export const MENTIONED_ALL = 0

/** SQL: the row of the table `mention` calls the account of a parameter, such as `$1`. */
export const isMentioned = (account: string): string => `mention.account in (${MENTIONED_ALL}, ${account})`
