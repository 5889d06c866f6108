import { expect, test } from 'vitest'
import { Database } from '../sqlite/database.ts'
import { TABLES } from './tables.ts'

/** What does not move, and why. */
const LEFT: ReadonlyMap<string, string> = new Map([
  ['journal', 'the move files it first'],
  ['progress', 'of its rows, what the engines share is moved'],
  ['entry.n', 'PostgreSQL keeps entries by log and seq'],
])
/** The virtual table of searches, whose rows are made anew from the entries. */
const INDEX = /^message_search/

test('every table and column of the schema moves, or is known not to', () => {
  using db = disposable(new Database(':memory:'))
  db.value.migrate()
  const moved = new Map(TABLES.map(({ table, columns }) => [table, new Set(Object.keys(columns))]))
  const missing: string[] = []
  for (const { name } of db.value.prepare("select name from sqlite_master where type = 'table'").all()) {
    const table = name as string
    if (table.startsWith('sqlite_') || table.startsWith('plain_') || INDEX.test(table) || LEFT.has(table))
      continue
    for (const { name: column } of db.value.prepare(`pragma table_info(${table})`).all()) {
      const place = `${table}.${column as string}`
      if (moved.get(table)?.has(column as string) !== true && !LEFT.has(place)) missing.push(place)
    }
  }
  expect(missing).toEqual([])
})

function disposable(value: Database): Disposable & { value: Database } {
  return { value, [Symbol.dispose]: () => value.close() }
}
