/** How the rows of one table move from SQLite to PostgreSQL. */

export type ColumnType = 'bigint' | 'text' | 'boolean' | 'bytea'

export type Row = Record<string, unknown>

export type TableMove = {
  /** Of the target. */
  table: string
  /** Rows of the source. */
  from: string
  /** Columns of the source that order its rows, and name one of them. */
  key: readonly string[]
  /** Of the target, with their types. */
  columns: Readonly<Record<string, ColumnType>>
  /** Where a target row is not simply the source row. */
  build?: (row: Row) => Row
  /** The migration has made a row of the same key, which the source's takes the place of. */
  replaces?: true
  /** The number in `n` comes from the sequence of this column, or from the named sequence. */
  sequence?: { column: string } | { name: string }
}

export const numbers = (...names: string[]) => typed('bigint', names)
export const texts = (...names: string[]) => typed('text', names)
const typed = (type: ColumnType, names: string[]) =>
  Object.fromEntries(names.map((name): [string, ColumnType] => [name, type]))
