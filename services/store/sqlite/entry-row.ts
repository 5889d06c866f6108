/** What an answer needs of a filed entry: columns of the table `entry`. */
export type EntryRow = {
  seq: number
  at: number
  kind: string
  account: number
  device: string | null
  id: string | null
  type: string
  body: string
  /** Of the wire's `EntryState`, as JSON; null for an entry that nothing happened to. */
  state: string | null
}

/** SQL of the seq of the entry with which the content of a message came: its last edit, or itself. */
export const contentSeq = (entry: string): string =>
  `coalesce(json_extract(${entry}.state, '$.edited.seq'), ${entry}.seq)`
