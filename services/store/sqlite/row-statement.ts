/**
 * A statement whose rows are objects of one hidden class. Those that the driver makes are dictionaries: with 24 columns
 * they cost twice as much as arrays, and then every property is looked up by its hash.
 */
import type { SQLInputValue, StatementSync } from 'node:sqlite'

export class RowStatement {
  readonly #statement: StatementSync
  readonly #names: readonly string[]

  constructor(statement: StatementSync) {
    this.#statement = statement
    this.#names = statement.columns().map(({ name }) => name)
    statement.setReturnArrays(true)
  }

  all(...values: readonly SQLInputValue[]): object[] {
    const rows = this.#statement.all(...values) as unknown as unknown[][]
    return rows.map((row) => this.#build(row))
  }

  get(...values: readonly SQLInputValue[]): object | undefined {
    const row = this.#statement.get(...values) as unknown as unknown[] | undefined
    return row && this.#build(row)
  }

  #build(values: readonly unknown[]): object {
    const names = this.#names
    const row: Record<string, unknown> = {}
    for (let i = 0; i < names.length; i++) row[names[i]!] = values[i]
    return row
  }
}
