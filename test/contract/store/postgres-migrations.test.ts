import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test } from 'vitest'
import { Database } from '../../../services/store/sqlite/database.ts'
import { createDatabase } from '../../harness/postgres.ts'
import { openStore } from './postgres-engine.ts'
import { RemoteStore } from './remote-store.ts'

const PROCESSES = 5

async function columnsOf(url: string): Promise<Map<string, Set<string>>> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows } = await client.query<{ table_name: string; column_name: string }>(
      "select table_name, column_name from information_schema.columns where table_schema = 'public'",
    )
    const tables = Map.groupBy(rows, (row) => row.table_name)
    return new Map([...tables].map(([table, columns]) => [table, new Set(columns.map((c) => c.column_name))]))
  } finally {
    await client.end()
  }
}

async function run(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

test('five processes that start at once migrate an empty database once, and all of them work', async () => {
  await using database = await createDatabase()
  const module = fileURLToPath(new URL('./postgres-engine.ts', import.meta.url))
  const engine = { module, location: database.url, open: () => openStore(database.url) }
  const stores = await Promise.all(Array.from({ length: PROCESSES }, () => RemoteStore.spawn(engine)))
  try {
    const versions = await run(database.url, 'select version from migration order by version')
    expect(versions.length).toBeGreaterThan(1)
    for (const store of stores)
      expect(await store.call('pagePlainTopics', { after: null, entriesMax: 1 })).toEqual([])
  } finally {
    await Promise.all(stores.map((store) => store.kill()))
  }
})

test('a database of a newer version is refused, and said to be one', async () => {
  await using database = await createDatabase()
  await (await openStore(database.url))[Symbol.asyncDispose]()
  await run(database.url, "insert into migration (version, file, at) values (9999, '9999_later.sql', now())")
  await expect(openStore(database.url)).rejects.toThrow(/newer wochat \(schema 9999/)
})

test('a database that was migrated is opened again as it is', async () => {
  await using database = await createDatabase()
  for (let i = 0; i < 2; i++) await (await openStore(database.url))[Symbol.asyncDispose]()
  const versions = (await run(database.url, 'select version from migration')) as { version: number }[]
  expect(new Set(versions.map(({ version }) => version)).size).toBe(versions.length)
})

/** What only one engine has, and why. */
const ONLY_SQLITE: ReadonlyMap<string, string> = new Map([
  ['journal', 'PostgreSQL writes entries where they belong'],
  ['entry.n', 'the key is log and seq'],
])

test('both engines have the tables and columns of the schema under the same names', async () => {
  await using database = await createDatabase()
  await (await openStore(database.url))[Symbol.asyncDispose]()
  const columns = await columnsOf(database.url)
  const missing: string[] = []
  const ours = sqliteColumns()
  expect(ours.size).toBeGreaterThan(40)
  for (const [table, names] of ours) {
    // The plain tables of the two engines keep different things: docs/adr/0006-plain-topics-in-a-cluster.md.
    if (table.startsWith('plain_') || ONLY_SQLITE.has(table)) continue
    for (const name of names) {
      if (columns.get(table)?.has(name) !== true && !ONLY_SQLITE.has(`${table}.${name}`)) {
        missing.push(`${table}.${name}`)
      }
    }
  }
  expect(missing).toEqual([])
})

function sqliteColumns(): Map<string, string[]> {
  const db = new Database(':memory:')
  try {
    db.migrate()
    const columns = db.connection
      .prepare(
        `select tables.name as "table", columns.name as "column"
         from pragma_table_list as tables, pragma_table_info(tables.name) as columns
         where tables.type = 'table' and tables.name not like 'sqlite_%'`,
      )
      .all() as { table: string; column: string }[]
    const tables = Map.groupBy(columns, ({ table }) => table)
    return new Map([...tables].map(([table, rows]) => [table, rows.map(({ column }) => column)]))
  } finally {
    db.close()
  }
}
