/**
 * Entries that only their author sees: what a blocked person writes, when they are not to know it, and what moderation
 * holds back. They have their place in the log, but count for nobody; on the wire their author finds them as messages.
 */
export const WITHHELD = 'withheld'

/** The kind of an entry as its readers see it. */
export function wireKind(kind: string): string {
  return kind === WITHHELD ? 'message' : kind
}
