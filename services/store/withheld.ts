/**
 * Entries that only their author sees: what a blocked person writes, when they are not to know it, and what moderation
 * holds back. They have their place in the log, but count for nobody; on the wire their author finds them as messages.
 *
 * SQL here names an entry by its alias and an account by its parameter, such as `$1`.
 */
export const WITHHELD = 'withheld'

/** The kind of an entry as its readers see it. */
export function wireKind(kind: string): string {
  return kind === WITHHELD ? 'message' : kind
}

/** Whether somebody wrote it, be it for others or withheld from them. */
export const isWritten = (kind: string): boolean => kind === 'message' || kind === WITHHELD

/** {@link isWritten} as SQL, for `kind in ...`. */
export const WRITTEN_KINDS = `('message', '${WITHHELD}')`

/** SQL: an entry of any kind, but none that is withheld from the account. */
export const isTold = (entry: string, account: string): string =>
  `(${entry}.kind <> '${WITHHELD}' or ${entry}.account = ${account})`

/** SQL: a message that the account sees. */
export const isMessageTold = (entry: string, account: string): string =>
  `(${entry}.kind = 'message' or (${entry}.kind = '${WITHHELD}' and ${entry}.account = ${account}))`
